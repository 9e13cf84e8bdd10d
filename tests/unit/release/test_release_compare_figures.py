"""Intervals and quantiles of the disagreement report."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.compare.spread import Durations, Shares
from intently_release.compare.wilson import wilson

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [(0, 10, 0.0, 0.277533), (1, 10, 0.017876, 0.404150), (5, 10, 0.236593, 0.763407), (10, 10, 0.722467, 1.0)],
)
def test_the_interval_is_wilsons(found: int, of: int, low: float, high: float) -> None:
    assert wilson(found, of) == pytest.approx((low, high), abs=1e-6)


def test_nothing_has_no_interval() -> None:
    assert wilson(0, 0) is None


@given(st.integers(1, 10**9).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share_and_mirrors_its_complement(counts: tuple[int, int]) -> None:
    found, of = counts
    interval, other = wilson(found, of), wilson(of - found, of)

    assert interval is not None
    assert other is not None
    assert 0 <= interval[0] <= found / of + 1e-12
    assert found / of - 1e-12 <= interval[1] <= 1
    assert interval == pytest.approx((1 - other[1], 1 - other[0]), abs=1e-9)


@given(st.integers(0, 1000), st.integers(2, 50))
def test_more_of_the_same_narrows_the_interval(found: int, times: int) -> None:
    narrow, wide = wilson(found * times, 1000 * times), wilson(found, 1000)

    assert narrow is not None
    assert wide is not None
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


@given(SHARES, st.floats(0.01, 1))
def test_a_quantile_of_shares_is_right_to_a_thousandth(values: list[float], share: float) -> None:
    shares = Shares()
    for value in values:
        shares.add(value)

    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert shares.quantile(share) == pytest.approx(exact, abs=0.001 + 1e-9)


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_of_durations_is_right_to_a_hundredth(values: list[float], share: float) -> None:
    durations = Durations()
    for value in values:
        durations.add(value)

    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1] * 1e3
    assert durations.quantile_ms(share) == pytest.approx(exact, rel=0.0101, abs=0.001)


def test_nothing_has_no_quantile() -> None:
    assert Shares().quantile(0.5) is None
    assert Durations().quantile_ms(0.5) is None


def test_no_duration_is_too_short() -> None:
    durations = Durations()
    durations.add(0.0)

    assert durations.quantile_ms(1) == 0.001
