"""Histograms: buckets hold their bounds, quantiles lie within their bucket, exemplars keep the latest."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.histogram import (
    LATENCY_BOUNDS,
    SHARE_BOUNDS,
    Histogram,
    HistogramFamily,
    TracePoint,
    quantile,
)

seconds = st.floats(0, 20, allow_nan=False)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram(LATENCY_BOUNDS)
    for value in values:
        histogram.record(value)
    return histogram


@pytest.mark.parametrize("bounds", [LATENCY_BOUNDS, SHARE_BOUNDS])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_the_buckets_are_finest_from_1_to_500_ms() -> None:
    assert sum(0.001 <= bound <= 0.5 for bound in LATENCY_BOUNDS) >= len(LATENCY_BOUNDS) / 2


@given(st.lists(seconds))
def test_every_value_is_in_the_bucket_whose_bound_it_does_not_exceed(values: list[float]) -> None:
    histogram = filled(values)

    edges = (-1.0, *LATENCY_BOUNDS, float("inf"))
    expected = [sum(low < value <= high for value in values) for low, high in pairwise(edges)]
    assert histogram.counts == expected
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(st.floats(0, 10), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_within_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    found = quantile(LATENCY_BOUNDS, filled(values).counts, share)

    true = float(np.quantile(values, share, method="inverted_cdf"))
    bucket = int(np.searchsorted(LATENCY_BOUNDS, true))
    assert found is not None
    assert (0.0, *LATENCY_BOUNDS)[bucket] <= found <= LATENCY_BOUNDS[bucket]


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile(LATENCY_BOUNDS, Histogram(LATENCY_BOUNDS).counts, 0.5) is None


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(LATENCY_BOUNDS, filled([100.0]).counts, 0.5) == LATENCY_BOUNDS[-1]


def test_a_bucket_keeps_its_latest_exemplar() -> None:
    histogram = filled([0.0012, 0.0013, 0.2])
    histogram.exemplify(0.0012, 1.0, TracePoint(1, 1))
    histogram.exemplify(0.0013, 2.0, TracePoint(2, 2))
    histogram.exemplify(0.2, 3.0, TracePoint(3, 3))

    assert [each.point.trace_id for each in histogram.exemplars.values()] == [2, 3]
    assert all(histogram.counts[bucket] for bucket in histogram.exemplars)


def test_attributes_name_one_member_in_whatever_order() -> None:
    family = HistogramFamily("a.b", "s", "An example.", LATENCY_BOUNDS)

    assert family.member({"x": "1", "y": "2"}) is family.member({"y": "2", "x": "1"})
    assert family.member({"x": "1"}) is not family.member({"x": "2"})
    assert len(family.members()) == 3
