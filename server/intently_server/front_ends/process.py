"""A front end as the first process sees it: a process, and the pipe to it."""

import asyncio
import contextlib
import multiprocessing
import signal
import time
from multiprocessing import resource_tracker
from typing import Any

import psutil

from intently_server.front_ends.front_end import FOLLOWED, Task, run_front_end
from intently_server.front_ends.shared_engine import SharedEngine
from intently_server.front_ends.told import Told
from intently_server.front_ends.words import Event, Failed, Line, Order


class FrontEnd:
    """A front end that runs, or has.

    Args:
        task: What for.
        engine: How it reaches that.

    Raises:
        OSError: if this machine has nothing left to start it with.

    Attributes:
        place: As in its task.
        seat: As in its task.
        has_sat: Whether it may have sat down at its seat, which then serves nobody else.
        ready: Done once its answers came out right.
        serving: Done once it says to all that it serves, or has ended.
        ended: Done once the process is gone; its result is the exit code.
        failed: Why it could not begin; None if that is not known.
        told: What it last told of itself; at its end, all that it has counted.
    """

    def __init__(self, task: Task, engine: SharedEngine) -> None:
        loop = asyncio.get_running_loop()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.place = task.place
        self.seat = task.seat
        self.has_sat = False
        self.ready: asyncio.Future[None] = loop.create_future()
        self.serving: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.failed: Failed | None = None
        self.told: Told | None = None
        self._answer: asyncio.Future[Told] | None = None
        self._owed: asyncio.Future[Told] | None = None  # at the last look
        self._silent_looks = 0
        self._process = context.Process(
            target=run_front_end, args=(task, theirs, engine.prepare, engine.attach), name=f"FrontEnd_{task.place}"
        )
        # Signals that go to the whole group would end it before it ignores them, and Python's resource tracker, which
        # ignores none but two, and unblocks those here.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, FOLLOWED)
        try:
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, FOLLOWED)
            self._process.start()
        except OSError:
            ours.close()
            theirs.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._began = time.monotonic()
        theirs.close()
        self._line = Line(ours, self._heard, lambda: None)
        loop.add_reader(self._process.sentinel, self._ended)

    @property
    def process(self) -> psutil.Process:
        """It."""
        return psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid or 0

    @property
    def lived_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def ask(self) -> "asyncio.Future[Told]":
        """Asks what it has counted."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            self._line.say(Order.TELL)
        return self._answer

    def look(self) -> int:
        """Looks whether it owes an answer since the last look; returns how often in a row it did, once it was ready.

        Looks are counted, not seconds: where all processes were halted together, nobody is to blame.
        """
        answer = self._answer if self.ready.done() else None
        owes = answer is not None and answer is self._owed and not answer.done()
        self._silent_looks = self._silent_looks + 1 if owes else 0
        self._owed = answer
        return self._silent_looks

    def tell(self, order: Order) -> None:
        """Tells it; one that is gone hears nothing."""
        self._line.say(order)

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(ValueError):
            self._process.kill()

    def _heard(self, word: Any) -> None:
        if isinstance(word, Failed):
            self.failed = word
        elif isinstance(word, Told):
            self.told = word
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(word)
        elif word is None and self._answer is not None:
            self._answer.cancel()  # it has nothing to tell yet
        elif word is Event.SITS_DOWN:
            self.has_sat = True
        elif word is Event.READY and not self.ready.done():
            self.ready.set_result(None)
        elif word is Event.SERVING and not self.serving.done():
            self.serving.set_result(None)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._line.drain()
        self._line.close()
        if self._answer is not None:
            self._answer.cancel()
        if not self.serving.done():
            self.serving.set_result(None)
        self.ended.set_result(self._process.exitcode or 0)
