"""Histograms as Envoy tells them: their quantiles, and what was added since an earlier one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.proxy.histogram import Bucket, Histogram


def histogram(counts: dict[int, int]) -> Histogram:
    """Of counts by bucket, each as wide as 1."""
    return Histogram(tuple(Bucket(low, 1, count) for low, count in sorted(counts.items()) if count))


COUNTS = st.dictionaries(st.integers(0, 50), st.integers(1, 1000), max_size=10)


@pytest.mark.parametrize(
    ("share", "found"), [(0.01, 2.0), (0.5, 2.0), (0.51, 11.0), (0.99, 11.0), (0.991, 101.0), (1.0, 101.0)]
)
def test_a_quantile_is_the_end_of_its_bucket(share: float, found: float) -> None:
    assert histogram({1: 500, 10: 490, 100: 10}).quantile(share) == found


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.99) is None
    assert Histogram().count == 0


def test_only_what_is_surely_over_counts_as_over() -> None:
    assert histogram({1: 5, 10: 3, 100: 2}).over(10) == 5
    assert histogram({1: 5, 10: 3, 100: 2}).over(10.5) == 2


@given(COUNTS, COUNTS)
def test_what_was_added_is_found_again(before: dict[int, int], added: dict[int, int]) -> None:
    after = {low: before.get(low, 0) + added.get(low, 0) for low in before.keys() | added.keys()}

    assert histogram(after).since(histogram(before)) == histogram(added)


@given(COUNTS, st.integers(0, 50))
def test_values_are_never_lost_but_by_a_restart(before: dict[int, int], low: int) -> None:
    more = {**before, low: before.get(low, 0) + 1}

    assert histogram(before).since(histogram(more)) is None


@given(COUNTS, st.floats(0.001, 1))
def test_no_more_than_the_rest_is_over_a_quantile(counts: dict[int, int], share: float) -> None:
    found = histogram(counts)

    if (limit := found.quantile(share)) is not None:
        assert found.over(limit) <= (1 - share) * found.count + 1e-6
