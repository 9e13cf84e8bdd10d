"""The wait before a restart: doubled with each death, never more than the most, and the first again after health."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.supervise.backoff import HEALTHY_S, Backoff

seconds = st.floats(0.001, 1000)


def test_each_death_doubles_the_wait_up_to_the_most() -> None:
    backoff = Backoff(0.5, 3.0)

    assert [backoff.after(0.0) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_first_wait_over_the_most_is_the_most() -> None:
    assert Backoff(10.0, 3.0).after(0.0) == 3.0


@pytest.mark.parametrize(("lived_s", "wait_s"), [(HEALTHY_S, 0.5), (HEALTHY_S - 1, 2.0)])
def test_who_was_healthy_before_its_death_waits_as_at_first(lived_s: float, wait_s: float) -> None:
    backoff = Backoff(0.5, 30.0)
    backoff.after(0.0)
    backoff.after(0.0)

    assert backoff.after(lived_s) == wait_s


def test_after_a_reset_it_waits_as_at_first() -> None:
    backoff = Backoff(0.5, 30.0)
    backoff.after(0.0)
    backoff.reset()

    assert backoff.after(0.0) == 0.5


@given(first_s=seconds, most_s=seconds, lives=st.lists(st.floats(0, 2 * HEALTHY_S)))
def test_no_wait_is_under_the_first_or_over_the_most(first_s: float, most_s: float, lives: list[float]) -> None:
    backoff = Backoff(first_s, most_s)

    for lived_s in lives:
        assert min(first_s, most_s) <= backoff.after(lived_s) <= most_s
