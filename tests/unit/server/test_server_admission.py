"""Admission: never more in flight than allowed, every place given back, and a hint that follows the measured rate."""

import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.admission import Admission
from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Caller


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(bound=st.integers(1, 20), arrivals=st.integers(0, 40))
def test_as_many_are_admitted_as_there_are_places(bound: int, arrivals: int) -> None:
    admission, admitted, refused = Admission(bound), 0, 0
    with ExitStack() as places:
        for _ in range(arrivals):
            try:
                places.enter_context(admission.enter(Caller()))
                admitted += 1
            except Overloaded:
                refused += 1
        assert admission.in_flight == admitted == min(bound, arrivals)
        assert refused == max(0, arrivals - bound)
    assert admission.in_flight == 0


def test_a_failure_gives_the_place_back() -> None:
    admission = Admission(1)

    for _ in range(3):
        with pytest.raises(RuntimeError), admission.enter(Caller()):
            raise RuntimeError

    assert admission.in_flight == 0


@pytest.mark.parametrize("seconds", [0.0, 0.02, 1.0, 3600.0])
def test_the_hint_follows_how_long_requests_take_and_stays_in_bounds(seconds: float) -> None:
    clock = Clock()
    admission = Admission(10, clock)
    for _ in range(200):
        with admission.enter(Caller()):
            clock.now += seconds

    with ExitStack() as places:
        for _ in range(10):
            places.enter_context(admission.enter(Caller()))
        with pytest.raises(Overloaded) as caught:
            places.enter_context(admission.enter(Caller()))

    # One at a time, each takes `seconds`: a tenth of ten places is free after one of them.
    assert caught.value.retry_after_s == pytest.approx(min(5.0, max(0.01, seconds)))


def test_a_deadline_that_cannot_be_met_is_refused_at_once_but_an_idle_server_tries() -> None:
    clock = Clock()
    admission = Admission(100, clock)
    for _ in range(200):
        with admission.enter(Caller()):
            clock.now += 1.0  # alone, each takes a second

    with ExitStack() as places:
        places.enter_context(
            admission.enter(Caller(deadline=clock() + 0.001))
        )  # idle: that is how it learns that it is faster now
        with pytest.raises(DeadlineUnmeetable):
            places.enter_context(admission.enter(Caller(deadline=clock() + 0.5)))
        for _ in range(50):  # however many are in flight: they are answered together
            places.enter_context(admission.enter(Caller(deadline=clock() + 2.0)))
    with pytest.raises(DeadlineUnmeetable), admission.enter(Caller(deadline=clock() + 0.0)):
        pass
    assert admission.in_flight == 0


def test_before_anything_was_answered_every_deadline_is_tried() -> None:
    admission = Admission(10, Clock())
    with ExitStack() as places:
        for _ in range(10):
            places.enter_context(admission.enter(Caller(deadline=time.monotonic() + 30)))
    assert admission.in_flight == 0
