"""How values are spread, in bounded memory: counts by bucket."""

import math
from collections import Counter

from intently_release.proxy.histogram import Bucket, Histogram

_STEPS = 1000  # of a share
_GROWTH = math.log(1.01)  # of a duration: each bucket is 1 % wide
_LEAST_S = 1e-6


class Shares:
    """Values from 0 to 1, to a thousandth."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, share: float) -> None:
        """One more. What is outside counts as 0 or 1."""
        self._counts[min(_STEPS - 1, max(0, math.floor(share * _STEPS)))] += 1

    def quantile(self, share: float) -> float | None:
        """The end of the bucket in which so great a share of the values is reached; None if there are none."""
        buckets = (Bucket(place / _STEPS, 1 / _STEPS, count) for place, count in sorted(self._counts.items()))
        found = Histogram(tuple(buckets)).quantile(share)
        return None if found is None else round(found, 3)


class Durations:
    """Durations, to a hundredth of themselves; those under a microsecond count as one."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[math.floor(math.log(max(seconds, _LEAST_S)) / _GROWTH)] += 1

    def quantile_ms(self, share: float) -> float | None:
        """As of `Shares`, in milliseconds."""
        buckets = []
        for place, count in sorted(self._counts.items()):
            low, high = math.exp(place * _GROWTH) * 1e3, math.exp((place + 1) * _GROWTH) * 1e3
            buckets.append(Bucket(low, high - low, count))
        found = Histogram(tuple(buckets)).quantile(share)
        return None if found is None else round(found, 3)
