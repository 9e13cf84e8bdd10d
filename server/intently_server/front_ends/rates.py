"""The rate of a full engine, from what each of those who share it has measured."""

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Who = TypeVar("Who")

_TOGETHER_S = 2.5  # longer than two looks are apart


class Rates(Generic[Who]):
    """Adds up rates of those that were full at the same time: each has measured its share of the engine.

    Who was full alone has measured all of it, and keeps that until it is full again; so has whoever comes after. A rate
    that is told anew, and is another than before, was measured in between.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._measured: dict[Who, tuple[float, float]] = {}  # when it was first told, and the rate

    def take(self, told: Mapping[Who, float | None]) -> None:
        """What all of them tell now; None of one that has not been full yet."""
        now, before = self._clock(), self._measured
        self._measured = {
            who: before[who] if who in before and before[who][1] == rate else (now, rate)
            for who, rate in told.items()
            if rate is not None
        }

    @property
    def together(self) -> float | None:
        """Of the engine when it was last full; None until it was."""
        if not self._measured:
            return None
        last = max(when for when, _ in self._measured.values())
        return sum(rate for when, rate in self._measured.values() if last - when < _TOGETHER_S)
