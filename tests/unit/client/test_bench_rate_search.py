"""The search for the highest rate: it ends at the edge, whatever the edge, and is not taken in by luck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.bench.studies.rate_search import MOST_PROBES, RateSearch


def search_on(
    edge: float, first: float, precision: float = 0.02, confirmations: int = 2
) -> tuple[RateSearch, list[float]]:
    """A search on a server that passes up to `edge`, at its end, and the rates that it measured."""
    search, measured = RateSearch(first, precision, confirmations), []
    while (rate := search.next_rate()) is not None:
        measured.append(rate)
        search.tell(rate, rate <= edge)
    return search, measured


@given(edge=st.floats(1.0, 1e5), factor=st.floats(0.1, 10.0), precision=st.floats(0.005, 0.2))
def test_it_finds_the_edge_to_the_precision_and_confirms_it(edge: float, factor: float, precision: float) -> None:
    search, measured = search_on(edge, edge * factor, precision)
    assert search.confirmed
    assert search.found is not None
    assert search.failed_above is not None
    assert search.found <= edge < search.failed_above <= search.found * (1 + precision)
    assert measured.count(search.found) == 3
    assert measured[-2:] == [search.found] * 2
    assert len(measured) <= MOST_PROBES


def test_a_server_that_passes_at_nothing_has_no_rate() -> None:
    search, _ = search_on(edge=0.0, first=1.0)
    assert search.found is None
    assert not search.confirmed


def test_a_server_that_passes_at_everything_is_given_up() -> None:
    search, measured = search_on(edge=float("inf"), first=100.0)
    assert len(measured) == MOST_PROBES
    assert search.failed_above is None
    assert not search.confirmed


def test_a_rate_that_passed_by_luck_is_not_what_is_found() -> None:
    """Passes at 110 once, and never again; up to 90 always."""
    search, lucky, found_luck = RateSearch(110.0, 0.05, 1), True, False
    while (rate := search.next_rate()) is not None:
        found_luck |= search.confirming and rate == 110.0
        search.tell(rate, rate <= 90.0 or (rate == 110.0 and lucky))
        lucky = lucky and rate != 110.0
    assert found_luck
    assert search.confirmed
    assert search.found == pytest.approx(90.0, rel=0.05)
    assert search.failed_above is not None
    assert 90.0 < search.failed_above <= 110.0


def test_it_says_which_probes_repeat_a_rate() -> None:
    search = RateSearch(100.0, 0.5, 1)
    assert not search.confirming
    search.tell(100.0, passed=True)
    assert not search.confirming
    search.tell(130.0, passed=False)
    assert search.confirming
    assert search.next_rate() == 100.0
