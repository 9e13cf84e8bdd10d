"""Times in an HDR histogram: 1 µs to 10 min, to three digits."""

import weakref
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

HIGHEST_US = 600_000_000
DIGITS = 3
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)


class Histogram:
    """Counts times. Those under 1 µs count as 1 µs, those over 10 min as 10 min."""

    def __init__(self) -> None:
        self._hdr = _without_cycle(HdrHistogram(1, HIGHEST_US, DIGITS))

    @property
    def count(self) -> int:
        """How many times it holds."""
        return int(self._hdr.get_total_count())

    def record(self, seconds: float) -> None:
        """Counts one time."""
        self._hdr.record_value(min(max(round(seconds * 1e6), 1), HIGHEST_US))

    def add(self, other: "Histogram") -> None:
        """Counts all that `other` holds. Nothing is lost: both have the same buckets."""
        if other.count:  # the library takes an empty one for a least value of 0
            self._hdr.add(other._hdr)

    def over(self, seconds: float) -> int:
        """How many of the times are over so many seconds, to the width of the buckets."""
        limit_us = round(seconds * 1e6)
        if not self.count or self._hdr.get_max_value() <= limit_us:
            return 0
        steps = self._hdr.get_recorded_iterator()
        return sum(step.count_added_in_this_iter_step for step in steps if step.value_iterated_to > limit_us)

    def curve(self) -> list[tuple[float, float]]:
        """Times in seconds with the share of all, 0 to 1, that do not exceed each; rising."""
        steps = self._hdr.get_recorded_iterator() if self.count else []
        return [(step.value_iterated_to / 1e6, step.total_count_to_this_value / self.count) for step in steps]

    def percentile(self, percent: float) -> float:
        """The time in seconds that `percent` of all do not exceed; 0.0 where it holds none."""
        return float(self._hdr.get_value_at_percentile(percent)) / 1e6 if self.count else 0.0

    def percentiles(self) -> dict[float, float]:
        """The times in seconds at `PERCENTILES`; 0.0 where it holds none."""
        found = self._hdr.get_percentile_to_value_dict(list(PERCENTILES)) if self.count else {}
        return {percent: found.get(percent, 0) / 1e6 for percent in PERCENTILES}

    @property
    def least(self) -> float:
        """The least time in seconds, rounded down to its bucket."""
        return float(self._hdr.get_min_value()) / 1e6

    @property
    def most(self) -> float:
        """The greatest time in seconds, rounded up to its bucket."""
        return float(self._hdr.get_max_value()) / 1e6

    @property
    def mean(self) -> float:
        """The mean in seconds, to the width of the buckets."""
        return float(self._hdr.get_mean_value()) / 1e6

    def encode(self) -> str:
        """The histogram in HdrHistogram's V2 format, compressed, in base64: other implementations read it."""
        encoded: bytes = self._hdr.encode()
        return encoded.decode("ascii")

    @classmethod
    def decode(cls, encoded: str) -> "Histogram":
        """The histogram that `encode` wrote."""
        histogram = cls()
        histogram._hdr = _without_cycle(HdrHistogram.decode(encoded.encode("ascii")))
        return histogram


def _without_cycle(hdr: Any) -> Any:
    """The same, but freed at once when nobody needs it: the library's cycle would keep its 170 kB for minutes."""
    hdr.encoder.histogram = weakref.proxy(hdr)
    return hdr
