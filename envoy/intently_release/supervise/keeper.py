"""Keeps one place as it is wanted: starts, restarts with back-off, ends in order. Each look takes one step."""

import logging
import time

from intently_release.state import Seen
from intently_release.supervise.backoff import Backoff
from intently_release.supervise.child import Child
from intently_release.supervise.place import Place
from intently_release.supervise.program import Program
from intently_release.supervise.replaced import WITHHELD, replaced

logger = logging.getLogger(__name__)

_DEAF = "it does not wait for SIGUSR1, as servers of this version do"


class Keeper:
    """Never waits: it is asked again and again.

    Args:
        place: Where.
        backoff: Before a restart.
    """

    def __init__(self, place: Place, backoff: Backoff) -> None:
        self._place = place
        self._backoff = backoff
        self._child: Child | None = None
        self._runs = Program(())
        self._ready = False
        self._moves = 0  # that what runs here knows of, or has nothing to do with
        self._deaf = False  # it could not be told the last of them
        self._kill_at: float | None = None  # set once it was told to end
        self._fault = ""  # why it was told, if it counts as dead
        self._start_at = 0.0
        self._has_died = False
        self._restarts = 0
        self._last_exit = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs here."""
        return self._child is None

    def adopt(self, child: Child, runs: Program, seen: Seen) -> None:
        """Takes over what an earlier supervisor has started, and knew so much of."""
        logger.info("%s: adopted pid %d", self._place.name, child.pid)
        self._child, self._runs = child, runs
        self._restarts, self._last_exit = seen.restarts, seen.last_exit
        self._moves, self._deaf = seen.moves, seen.deaf
        if seen.stopping:
            # Not told again: a server that is told twice cuts off what is in flight.
            self._kill_at = time.monotonic() + self._place.ends_within_s

    async def keep(self, wanted: Program | None) -> None:
        """Takes one step toward running this, or nothing."""
        if self._child is not None and self._child.has_ended():
            self._bury(self._child)
        if self._child is None:
            self._start_if_due(wanted)
        elif self._kill_at is not None:
            self._kill_if_due(self._child)
        elif wanted is None:
            self._end(self._child, "is not wanted any more")
        elif not wanted.serves_as(self._runs):
            self._end(self._child, f"shall serve {wanted.bundle} {wanted.where}")
        else:
            self._runs = wanted
            await self._look(self._child)
            self._move_streams(self._child, wanted.moves)

    def hurry(self) -> None:
        """Tells what was told to end to hurry."""
        if self._child is not None and self._kill_at is not None:
            self._child.terminate()
            self._kill_at = time.monotonic() + self._place.hurries_within_s

    def seen(self) -> Seen:
        """How it is."""
        child = self._child
        return Seen(
            pid=child.pid if child else None,
            started_at=child.started_at if child else None,
            ready=self._ready and self._kill_at is None,
            stopping=self._kill_at is not None,
            restarts=self._restarts,
            last_exit=self._last_exit,
            bundle=self._runs.bundle,
            revision=self._runs.revision,
            moves=self._moves,
            deaf=self._deaf,
        )

    def _start_if_due(self, wanted: Program | None) -> None:
        if wanted is None or not wanted.serves_as(self._runs):
            # Another bundle may be better: it is not made to wait for what the last one did.
            self._backoff.reset()
            self._start_at, self._has_died = 0.0, False
        if wanted is not None and time.monotonic() >= self._start_at:
            if why := replaced(wanted.bundle, wanted.revision):
                self._withhold(wanted, f"{WITHHELD}{why}")
            else:
                self._start(wanted)

    def _withhold(self, wanted: Program, why: str) -> None:
        """Leaves the place empty, and looks again later: what was released may come back."""
        self._runs = wanted
        self._start_at = time.monotonic() + self._backoff.after(0.0)
        if self._last_exit != why:
            self._last_exit = why
            logger.error("%s: %s", self._place.name, why)

    def _start(self, wanted: Program) -> None:
        self._runs = wanted
        self._restarts = self._restarts + 1 if self._has_died else 0
        self._has_died = False
        self._moves, self._deaf = wanted.moves, False
        try:
            self._place.forget()
            self._child = Child.start(wanted.arguments, wanted.env, self._place.log)
        except OSError as error:
            self._died(f"cannot be started: {error}", 0.0)
        else:
            logger.info("%s: started, pid %d", self._place.name, self._child.pid)

    def _bury(self, child: Child) -> None:
        was_told, fault = self._kill_at is not None, self._fault
        self._child, self._kill_at, self._fault, self._ready = None, None, "", False
        if was_told and not fault:
            self._last_exit = child.last_exit
            self._backoff.reset()
            logger.info("%s: ended as it was told: %s", self._place.name, self._last_exit)
        else:
            self._died(fault or child.last_exit, child.lived_s)

    def _died(self, how: str, lived_s: float) -> None:
        wait_s = self._backoff.after(lived_s)
        self._has_died, self._last_exit, self._start_at = True, how, time.monotonic() + wait_s
        logger.warning("%s: %s; started again in %g s; its log: %s", self._place.name, how, wait_s, self._place.log)

    def _end(self, child: Child, why: str) -> None:
        logger.info("%s: %s; pid %d is told to end", self._place.name, why, child.pid)
        child.terminate()
        self._kill_at = time.monotonic() + self._place.ends_within_s

    def _kill_if_due(self, child: Child) -> None:
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            logger.warning("%s: pid %d has not ended in time and is killed", self._place.name, child.pid)
            child.kill()

    def _move_streams(self, child: Child, moves: int) -> None:
        """Tells it once, as soon as it can have streams. To be told once too often is harmless."""
        if self._ready and moves > self._moves:
            self._deaf = not child.move_streams()
            if not self._deaf:
                logger.info("%s: pid %d is told to let its streams move", self._place.name, child.pid)
            else:
                logger.warning("%s: pid %d lets its streams move by age alone: %s", self._place.name, child.pid, _DEAF)
        if self._ready:
            self._moves = moves

    async def _look(self, child: Child) -> None:
        """Sees whether it is ready. One that does not get so in time counts as dead."""
        if self._ready:
            return
        self._ready = await self._place.is_ready()
        limit_s = self._place.starts_within_s
        if not self._ready and limit_s is not None and child.lived_s > limit_s:
            self._fault = f"was not ready within {limit_s:g} s"
            self._end(child, self._fault)
