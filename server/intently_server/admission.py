"""Bounds what is in flight: a request beyond the bound is refused at once, with a hint when to come back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from intently_server.errors import DeadlineUnmeetable, Overloaded

_SMOOTHING = 0.05  # weight of the newest observation in the moving average
_SHORTEST_RETRY_S = 0.01
_LONGEST_RETRY_S = 5.0


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
        self._seconds_per_request = 0.0

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and have not ended."""
        return self._in_flight

    @contextmanager
    def admit(self, remaining_s: float | None = None) -> Iterator[None]:
        """Holds a place for the length of the block.

        Args:
            remaining_s: Seconds until the caller gives up; None for never.

        Raises:
            Overloaded: if there is no place. Its hint is the time in which the measured rate frees a tenth of them.
            DeadlineUnmeetable: if the caller gives up before even half of what is in flight can have ended, by the
                measured rate. An idle server tries: that is how it would learn that it has become faster.
        """
        if remaining_s is not None and remaining_s <= 0:
            raise DeadlineUnmeetable("the deadline had passed before the work began")
        if self._in_flight >= self._max:
            raise Overloaded(f"{self._max} requests are in flight, as many as this server takes", self._retry_after())
        if remaining_s is not None and remaining_s < self._in_flight * self._seconds_per_request / 2:
            raise DeadlineUnmeetable(
                f"{self._in_flight} requests are in flight; the deadline would pass before an answer"
            )
        self._in_flight += 1
        started = self._clock()
        try:
            yield
        finally:
            self._observe((self._clock() - started) / self._in_flight)
            self._in_flight -= 1

    def _observe(self, seconds_per_request: float) -> None:
        # With n in flight that take t seconds each, one ends every t/n seconds (Little's law).
        if self._seconds_per_request == 0.0:
            self._seconds_per_request = seconds_per_request
        self._seconds_per_request += _SMOOTHING * (seconds_per_request - self._seconds_per_request)

    def _retry_after(self) -> float:
        hint = self._seconds_per_request * max(1, self._max // 10)
        return min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, hint))
