"""Bounds what is in flight: a request beyond the bound is refused at once, with a hint when to come back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Caller

_WINDOW = 400  # requests after which older ones count half
_SHORTEST_RETRY_S = 0.01
_LONGEST_RETRY_S = 5.0


class Place:
    """A place among the requests in flight."""

    async def turn(self, tokens: int) -> None:
        """Waits until the engine may be given so many tokens."""


class Admission:
    """Counts requests in flight and refuses those over the bound.

    Args:
        max_in_flight: Requests in flight at most, waiting ones included.
        clock: Monotonic seconds.
    """

    def __init__(self, max_in_flight: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max = max_in_flight
        self._clock = clock
        self._in_flight = 0
        self._busy_s = 0.0  # time in which anything was in flight, and
        self._ended = 0.0  # requests that ended in it: their quotient is the time from one end to the next
        self._last_change = clock()
        self._fastest_s: float | None = None  # of the requests of this window that were answered; None: none was

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and have not ended."""
        return self._in_flight

    @contextmanager
    def enter(self, caller: Caller) -> "Iterator[Place]":
        """Holds a place for the length of the block.

        Args:
            caller: Who asks, and until when.

        Raises:
            Overloaded: if there is no place. Its hint is the time in which the measured rate frees a tenth of them.
            DeadlineUnmeetable: if the caller gives up sooner than any request of late was answered. An idle server
                tries: that is how it would learn that it has become faster.
        """
        remaining_s = None if caller.deadline is None else caller.deadline - self._clock()
        if remaining_s is not None and remaining_s <= 0:
            raise DeadlineUnmeetable("the deadline had passed before the work began")
        if self._in_flight >= self._max:
            raise Overloaded(f"{self._max} requests are in flight, as many as this server takes", self._retry_after())
        least_s = self._fastest_s if self._in_flight else None
        if remaining_s is not None and least_s is not None and remaining_s < least_s:
            raise DeadlineUnmeetable("the deadline would pass before an answer, by how long answers took of late")
        self._change(1)
        started = self._last_change
        try:
            yield Place()
            took = self._clock() - started
            self._fastest_s = took if self._fastest_s is None else min(self._fastest_s, took)
        finally:
            self._change(-1)
            self._count_end()

    @property
    def _seconds_per_request(self) -> float:
        return self._busy_s / self._ended if self._ended else 0.0

    def _change(self, by: int) -> None:
        now = self._clock()
        if self._in_flight:
            self._busy_s += now - self._last_change
        self._last_change = now
        self._in_flight += by

    def _count_end(self) -> None:
        self._ended += 1
        if self._ended >= _WINDOW:
            self._ended /= 2
            self._busy_s /= 2
            self._fastest_s = None

    def _retry_after(self) -> float:
        hint = self._seconds_per_request * max(1, self._max // 10)
        return min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, hint))
