"""A window: what a color did between two readings, and that a restart between them is noticed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.judge.figures import Figures
from intently_release.judge.window import between
from intently_release.proxy.histogram import Bucket, Histogram

BEFORE = Figures(
    at=1000.0,
    uptime_s=100,
    epoch=0,
    codes={0: 500, 3: 20, 13: 1},
    silent=4,
    begun=530,
    ended=521,
    singles=500,
    retries=7,
    overflow=2,
    active=9,
    healthy=1,
    pending=0,
    total=1,
    ejected=0,
    ejections=3,
    latency=Histogram((Bucket(4, 0.1, 480), Bucket(30, 1, 20))),
)
AFTER = replace(
    BEFORE,
    at=1010.0,
    uptime_s=110,
    codes={0: 800, 3: 25, 13: 1, 14: 2},
    silent=11,
    begun=850,
    ended=828,
    singles=790,
    retries=9,
    overflow=3,
    active=12,
    healthy=2,
    total=3,
    ejected=1,
    ejections=5,
    latency=Histogram((Bucket(4, 0.1, 760), Bucket(30, 1, 20), Bucket(110, 10, 10))),
)


def test_counters_are_subtracted_and_gauges_taken_as_they_are() -> None:
    window = between(BEFORE, AFTER)

    assert window.problem == ""
    assert window.codes == {0: 300, 3: 5, 14: 2}
    assert window.calls == 307
    assert (window.seconds, window.per_s) == (10.0, 30.7)
    assert (window.singles, window.retries, window.overflow, window.ejections) == (290, 2, 1, 2)
    assert (window.active, window.healthy, window.total, window.ejected) == (12, 2, 3, 1)
    assert window.latency == Histogram((Bucket(4, 0.1, 280), Bucket(110, 10, 10)))
    assert window.count(frozenset({3, 14, 15})) == 7


def test_calls_that_are_neither_answered_nor_under_way_were_given_up() -> None:
    window = between(BEFORE, AFTER)

    assert window.unanswered == 320 - 307 - 12
    assert (window.seen, window.silent, window.telling) == (308, 7, 301)


def test_calls_under_way_are_not_given_up() -> None:
    assert between(BEFORE, replace(AFTER, active=400)).unanswered == 0


def test_nothing_happened_in_no_time() -> None:
    window = between(BEFORE, BEFORE)

    assert (window.problem, window.seen, window.per_s) == ("", 0, 0.0)


@pytest.mark.parametrize("missing", ["before", "after", "both"])
def test_a_color_that_was_not_told_of_is_a_problem(missing: str) -> None:
    window = between(None if missing != "after" else BEFORE, None if missing != "before" else AFTER)

    assert "does not tell" in window.problem


@pytest.mark.parametrize("field", ["begun", "ended", "retries", "overflow", "singles", "silent", "ejections"])
def test_a_counter_that_went_back_is_a_problem(field: str) -> None:
    window = between(BEFORE, replace(AFTER, **{field: getattr(BEFORE, field) - 1}))

    assert "went backwards" in window.problem


@pytest.mark.parametrize("codes", [{0: 499, 3: 20, 13: 1}, {0: 5000, 3: 20}, {}])
def test_a_status_that_went_back_is_a_problem(codes: dict[int, int]) -> None:
    assert "went backwards" in between(BEFORE, replace(AFTER, codes=codes)).problem


def test_a_histogram_that_went_back_is_a_problem() -> None:
    fewer = Histogram((Bucket(4, 0.1, 9000), Bucket(30, 1, 19)))

    assert "went backwards" in between(BEFORE, replace(AFTER, latency=fewer)).problem


def test_a_restart_is_noticed_even_if_all_counters_are_greater() -> None:
    assert "started again" in between(BEFORE, replace(AFTER, uptime_s=5)).problem
    assert "started again" in between(BEFORE, replace(AFTER, epoch=1)).problem


def test_an_uptime_that_lags_is_no_restart() -> None:
    assert between(BEFORE, replace(AFTER, uptime_s=108)).problem == ""
    assert between(replace(BEFORE, uptime_s=95), AFTER).problem == ""


COUNT = st.integers(0, 10**6)


@given(COUNT, COUNT, COUNT, COUNT, st.dictionaries(st.integers(0, 16), COUNT))
def test_a_later_reading_of_the_same_envoy_is_never_a_problem(
    begun: int, ended: int, retries: int, overflow: int, codes: dict[int, int]
) -> None:
    after = replace(
        AFTER,
        begun=BEFORE.begun + begun,
        ended=BEFORE.ended + ended,
        retries=BEFORE.retries + retries,
        overflow=BEFORE.overflow + overflow,
        codes={code: BEFORE.codes.get(code, 0) + codes.get(code, 0) for code in codes.keys() | BEFORE.codes.keys()},
    )

    window = between(BEFORE, after)

    assert window.problem == ""
    assert window.unanswered >= 0
    assert window.calls == sum(codes.values())
