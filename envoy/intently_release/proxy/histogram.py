"""A histogram of Envoy's: counts of values by bucket, in milliseconds for a latency."""

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """Values from `low` to `low + width`. Envoy's have two decimal digits: a width is a tenth of its low at most.

    Attributes:
        low, width: In the unit of the histogram; the values that are 0 have a bucket of width 0.
        count: Values in it.
    """

    low: float
    width: float
    count: int

    @property
    def high(self) -> float:
        """Where it ends."""
        return self.low + self.width


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket.

    Attributes:
        buckets: From the lowest; none twice, none empty.
    """

    buckets: tuple[Bucket, ...] = ()

    @property
    def count(self) -> int:
        """Values in it."""
        return sum(bucket.count for bucket in self.buckets)

    def over(self, limit: float) -> int:
        """Values that are surely greater: those of buckets that begin there or after."""
        return sum(bucket.count for bucket in self.buckets if bucket.low >= limit)

    def quantile(self, share: float) -> float | None:
        """The end of the bucket in which so great a share of the values is reached; None if there are none.

        Args:
            share: Over 0, at most 1: 0.99 for p99.
        """
        rank = max(1, math.ceil(share * self.count))
        for bucket in self.buckets:
            rank -= bucket.count
            if rank <= 0:
                return bucket.high
        return None

    def since(self, earlier: Self) -> "Histogram | None":
        """What was added after `earlier`; None if a bucket lost values, which only a restart does."""
        counts = {(bucket.low, bucket.width): bucket.count for bucket in self.buckets}
        for bucket in earlier.buckets:
            place = bucket.low, bucket.width
            counts[place] = counts.get(place, 0) - bucket.count
        if any(count < 0 for count in counts.values()):
            return None
        added = (Bucket(low, width, count) for (low, width), count in counts.items() if count)
        return Histogram(tuple(sorted(added)))
