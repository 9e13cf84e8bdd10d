"""The figures of several front ends as those of one server."""

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from intently_server.histogram import HistogramFamily
from intently_server.telemetry.figures import Figures

Key = TypeVar("Key", bound=Hashable)


def sum_into(total: Figures, parts: Sequence[Figures]) -> None:
    """Makes `total` the sum of `parts`, in place: whoever shows it holds on to it, and may read it in another thread.

    Each count is replaced at once, so that nobody sees half a sum. All that ever counted must be among the parts: a
    histogram that none of them has stays as it was.
    """
    total.calls = _added(part.calls for part in parts)
    total.utterances = _added(part.utterances for part in parts)
    total.predictions = _added(part.predictions for part in parts)
    total.input_tokens = sum(part.input_tokens for part in parts)
    total.cached_tokens = sum(part.cached_tokens for part in parts)
    total.streams = sum(part.streams for part in parts)
    failures = sorted((each for part in parts for each in part.failures), key=lambda each: each.time_s)
    total.failures = deque(failures, maxlen=total.failures.maxlen)
    for family, *others in zip(total.histograms(), *(part.histograms() for part in parts), strict=True):
        _sum_family(family, others)


def _added(counters: "Iterable[Counter[Key]]") -> "Counter[Key]":
    total: Counter[Key] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _sum_family(total: HistogramFamily, parts: Sequence[HistogramFamily]) -> None:
    sums = total.empty()
    for part in parts:
        for attributes, histogram in part.members():
            sums.member(attributes).add(histogram)
    for attributes, histogram in sums.members():
        total.member(attributes).become(histogram)
