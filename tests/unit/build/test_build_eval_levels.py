"""Rows shared among numbers of calls in flight: each is asked once, and the greatest number has at least half."""

from hypothesis import given
from hypothesis import strategies as st

from intently_build.evaluation.answering import share_rows


@given(rows=st.integers(1, 5000), fewer=st.lists(st.integers(1, 31), max_size=4, unique=True).map(sorted))
def test_each_row_is_asked_once_and_most_with_the_greatest_number_in_flight(rows: int, fewer: list[int]) -> None:
    shares = share_rows(rows, fewer, 32)
    assert sorted(row for _, part in shares for row in part.tolist()) == list(range(rows))
    levels, parts = zip(*shares, strict=True)
    assert list(levels) == ([*fewer, 32] if rows >= 2 * len(fewer) else [32])
    assert 2 * len(parts[-1]) >= rows
    assert all(len(part) <= 500 for part in parts[:-1])


def test_without_other_numbers_the_rows_are_asked_as_they_stand() -> None:
    [(in_flight, rows)] = share_rows(5, (), 8)
    assert (in_flight, rows.tolist()) == (8, [0, 1, 2, 3, 4])
