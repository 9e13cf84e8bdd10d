"""Threads for work that would hold up the event loop: shared fairly, and refused what would wait too long."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from intently_server.admission.place import Place
from intently_server.admission.waiting import Refusal, Waiting
from intently_server.errors import DeadlineUnmeetable

T = TypeVar("T")

_MEMORY = 0.9  # of what was measured before, at each work that ends


class FairThreads:
    """Runs work of requests that hold a place, as many at a time as there are threads; the others wait in fair turns.

    Args:
        threads: How many.
        name: Of the threads.
        longest_s: Seconds from its entry in which a request may be expected to be answered.
        clock: Monotonic seconds.
        overloaded: See `Waiting`.
    """

    def __init__(
        self,
        threads: int,
        name: str,
        longest_s: Callable[[Place], float],
        clock: Callable[[], float],
        overloaded: Refusal,
    ) -> None:
        self.waiting = Waiting(clock, overloaded)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._free = threads
        self._longest_s = longest_s
        self._clock = clock
        self._overloaded = overloaded
        self._running_cost = 0.0
        self._took_s = 0.0  # in threads, of late, and
        self._done = 0.0  # the cost that was worked off in it

    async def run(self, place: Place, cost: float, work: Callable[[], T]) -> T:
        """Returns what `work` returns, once a thread has run it.

        Args:
            place: Of the request that it is done for.
            cost: Over 0, in proportion to the time that it takes.
            work: Runs in a thread. It cannot be stopped once it has begun.

        Raises:
            Overloaded: if it would wait too long, or others with less in flight took its place.
            DeadlineUnmeetable: if the caller gives up before its turn.
        """
        if self._free:
            self._free -= 1
        else:
            await self._turn(place, cost)
        self._running_cost += cost
        loop = asyncio.get_running_loop()

        def timed() -> T:
            began = time.perf_counter()
            try:
                return work()
            finally:
                took_s = time.perf_counter() - began
                _tell(loop, lambda: self._measure(cost, took_s))

        job: Future[T] = self._executor.submit(timed)
        job.add_done_callback(lambda _: _tell(loop, lambda: self._end(cost)))
        return await asyncio.wrap_future(job)

    async def _turn(self, place: Place, cost: float) -> None:
        self._refuse_the_late(place, cost)
        started = self.waiting.push(place, cost)
        try:
            await self.waiting.turn(place, started, self._longest_s(place))
        except BaseException:
            if place.granted:
                self._pass_on()
            raise

    def _refuse_the_late(self, place: Place, cost: float) -> None:
        if not self._took_s:
            return
        now, caller = self._clock(), place.caller
        ahead = self._running_cost + self.waiting.ahead(place, cost)
        expected_s = ahead * self._took_s / (self._done * self._threads)
        if caller.deadline is not None and now + expected_s > caller.deadline:
            raise DeadlineUnmeetable("the deadline would pass before the text is tokenized, by what waits at present")
        too_long_s = now - place.entered + expected_s - self._longest_s(place)
        if not caller.patient and too_long_s > 0:
            raise self._overloaded("other long texts wait, and this one would wait too long", too_long_s)

    def _measure(self, cost: float, took_s: float) -> None:
        self._took_s = _MEMORY * self._took_s + took_s
        self._done = _MEMORY * self._done + cost

    def _end(self, cost: float) -> None:
        self._running_cost -= cost
        self._pass_on()

    def _pass_on(self) -> None:
        """Gives a thread that is free to the next; what waits is let go here alone, so a free thread has no queue."""
        if self.waiting.pop() is None:
            self._free += 1


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody wants to know any more
        loop.call_soon_threadsafe(what)
