"""Between the start and the end: another front end in place of each that dies, until the engine does or all may go."""

import asyncio
import logging
import time
from collections.abc import Sequence

from intently_server.drain import StopSignal
from intently_server.front_ends.backoff import Backoff
from intently_server.front_ends.front_end import ENGINE_DIED
from intently_server.front_ends.living import FrontEnds
from intently_server.front_ends.patience import Patience
from intently_server.front_ends.process import FrontEnd
from intently_server.front_ends.shared_engine import Core
from intently_server.front_ends.words import Order

logger = logging.getLogger(__name__)

_POLL_S = 0.05
_HURRIED_S = 4.0  # for front ends that were told twice to stop: they leave calls under way a second or two


class Keeper:
    """Keeps as many front ends as there shall be.

    Args:
        front_ends: They.
        core: The engine that they share.
        patience: With them.
    """

    def __init__(self, front_ends: FrontEnds, core: Core, patience: Patience) -> None:
        self._front_ends = front_ends
        self._core = core
        self._patience = patience
        self._backoff = Backoff()
        self._told: set[int] = set()  # places of those who said that the engine has died, until others start
        self._due: dict[int, float] = {}  # when another is to be started, by its place, in monotonic seconds
        self._next_look = time.monotonic() + patience.looked_at_every_s

    async def until_stopped(self, stop: StopSignal) -> bool:
        """Returns once `stop` is set. False if the server cannot go on before that: why, the log says."""
        while not stop.is_set():
            if self.engine_died():
                return False
            self._replace(self._front_ends.take_dead())
            if not self._front_ends.living and not self._due:
                logger.error("no front end is left, and no seat at the engine for another; the server ends")
                return False
            self._look()
            await asyncio.sleep(_POLL_S)
        return True

    async def until_gone(self, seconds: float, stop: StopSignal) -> None:
        """Returns once all front ends have ended, the engine has died, or the time is over, sooner in a hurry."""
        for each in self._front_ends.living:
            if not each.ready.done():  # it comes in place of another, and has nothing to drain
                each.kill()
        give_up = time.monotonic() + seconds
        hurried = False
        while any(not each.ended.done() for each in self._front_ends.living) and time.monotonic() < give_up:
            if self.engine_died():
                return
            if stop.is_hurried() and not hurried:
                hurried, give_up = True, min(give_up, time.monotonic() + _HURRIED_S)
            self._look()
            await asyncio.sleep(_POLL_S)

    def engine_died(self) -> bool:
        """Whether the engine has died, as it was seen here, or as all front ends say.

        One alone may say so by its own fault, with an engine that serves the others.
        """
        if not self._core.alive:
            return True
        # Who was told of it by the engine ends with this code, maybe before the engine's processes do.
        codes = [each.ended.result() if each.ended.done() else None for each in self._front_ends.living]
        all_say_so = all(code == ENGINE_DIED for code in codes) and self._told == set(self._due)
        return all_say_so and bool(codes or self._told)

    def _replace(self, dead: Sequence[FrontEnd]) -> None:
        """Starts others in place of the dead, each in its time."""
        now = time.monotonic()
        for each in dead:
            if each.has_sat:
                self._core.leave(each.seat)
            wait_s = self._backoff.after(each.lived_s)
            if each.ended.result() == ENGINE_DIED:
                self._told.add(each.place)
                wait_s = max(wait_s, self._patience.engine_ends_within_s)
            self._due[each.place] = now + wait_s
            why = f": {each.failed.reason}" if each.failed is not None else ""
            logger.error(
                "front end %d has died (exit %d)%s; another is started in %g s",
                each.place,
                each.ended.result(),
                why,
                wait_s,
            )
        for place in [place for place, due in self._due.items() if due <= now]:
            del self._due[place]
            self._told.discard(place)
            self._start(place, now)

    def _start(self, place: int, now: float) -> None:
        """Starts another at this place; where that fails, it is tried again, or never if there is no seat for it."""
        try:
            successor = self._front_ends.start(place, late=True)
        except OSError as error:
            wait_s = self._backoff.after(0.0)
            self._due[place] = now + wait_s
            logger.error("front end %d cannot be started: %s; it is tried again in %g s", place, error, wait_s)
            return
        if successor is None:
            logger.error(
                "no seat at the engine is left for another front end %d: those that live go on; start the server anew",
                place,
            )
            return
        successor.tell(Order.ATTACH)
        successor.tell(Order.SERVE)

    def _look(self) -> None:
        """Kills those that hang: what does not tell does not answer either, nor what takes for ever to start."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._patience.looked_at_every_s
        for each in self._front_ends.living:
            if each.look() >= self._patience.silent_looks and not each.ended.done():
                logger.error("front end %d does not answer; it is killed", each.place)
                each.kill()
            elif each.lived_s > self._patience.starts_within_s and not each.ready.done() and not each.ended.done():
                logger.error("front end %d has not started in %.0f s; it is killed", each.place, each.lived_s)
                each.kill()
