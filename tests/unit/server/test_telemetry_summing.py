"""What several front ends have counted adds up to what one would have counted that had all of their calls."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.bundle import Bundle
from intently_server.errors import InvalidInput, ItemCancelled, Overloaded
from intently_server.histogram import TracePoint
from intently_server.telemetry.figures import STREAM, UNARY, Figures
from intently_server.telemetry.summing import sum_into
from intently_server.types import Classification, Decision, Outcome, Prediction, Stages

FRONT_ENDS = 3
ERRORS = (InvalidInput.of("text", "is empty"), Overloaded("full", 0.1), ItemCancelled("taken back"))


@dataclass(frozen=True, slots=True)
class Event:
    """What one of the front ends saw: a call of one utterance, which took some seconds."""

    front_end: int
    method: str
    outcome: Outcome | Overloaded | InvalidInput | ItemCancelled
    intent: str
    seconds: float
    traced: bool


EVENTS = st.lists(
    st.builds(
        Event,
        front_end=st.integers(0, FRONT_ENDS - 1),
        method=st.sampled_from([UNARY, STREAM]),
        outcome=st.sampled_from([*Outcome, *ERRORS]),
        intent=st.sampled_from(["alarm", "time"]),
        seconds=st.floats(0.0, 20.0),
        traced=st.booleans(),
    ),
    max_size=80,
)


def count(figures: Figures, event: Event, number: int) -> None:
    """Counts an event, the later ones at later times."""
    time_s, point = 1000.0 + number, TracePoint(number + 1, number + 1) if event.traced else None
    if isinstance(event.outcome, Outcome):
        decision = Decision(event.outcome, (Prediction(event.intent, 0.75, 3.0),), 0.1)
        answer = Classification(decision, input_tokens=200, cached_tokens=150, truncated=False)
        admitted, encoded, started, inferred, decided = (event.seconds * share for share in (0.1, 0.2, 0.3, 0.9, 1.0))
        stages = Stages(0.0, admitted, encoded, started, inferred, decided)
        figures.answered(event.method, stages, answer, time_s, point)
        figures.ended(event.method, event.seconds, "OK", "", None, time_s, point)
        return
    error = event.outcome
    with_call = event.method == UNARY
    figures.failed(event.method, event.seconds, error.reason, error, time_s, with_call=with_call)
    figures.ended(event.method, event.seconds, "SOME_STATUS", error.reason, error, time_s, point)
    figures.streams += 1


def told(figures: Figures) -> dict[str, object]:
    """All that figures tell, the sums of times about right."""
    histograms = {
        (family.name, tuple(sorted(attributes.items()))): (
            tuple(histogram.counts),
            pytest.approx(histogram.sum),
            histogram.exemplars,
        )
        for family in figures.histograms()
        for attributes, histogram in family.members()
    }
    return {
        "calls": figures.calls,
        "utterances": figures.utterances,
        "predictions": figures.predictions,
        "tokens": (figures.input_tokens, figures.cached_tokens),
        "streams": figures.streams,
        "failures": list(figures.failures),
        "histograms": histograms,
    }


def sent(figures: Figures) -> Figures:
    """As it comes out of a pipe."""
    received: Figures = pickle.loads(pickle.dumps(figures))  # noqa: S301  # our own
    return received


def counted(bundle: Bundle, events: Sequence[Event], front_end: int | None = None) -> Figures:
    figures = Figures(bundle.model)
    for number, event in enumerate(events):
        if front_end in {None, event.front_end}:
            count(figures, event, number)
    return figures


@given(events=EVENTS)
def test_parts_add_up_to_the_whole(bundle: Bundle, events: list[Event]) -> None:
    parts = [counted(bundle, events, front_end) for front_end in range(FRONT_ENDS)]
    total = Figures(bundle.model)

    sum_into(total, [sent(part) for part in parts])

    assert told(total) == told(counted(bundle, events))


@given(before=EVENTS, after=EVENTS)
def test_summing_again_tells_what_is_so_now(bundle: Bundle, before: list[Event], after: list[Event]) -> None:
    total = Figures(bundle.model)
    shown, inference = total.histograms(), total.stage("inference")  # who shows them holds on to them

    for events in (before, [*before, *after]):
        sum_into(total, [sent(counted(bundle, events, front_end)) for front_end in range(FRONT_ENDS)])

    assert told(total) == told(counted(bundle, [*before, *after]))
    assert total.histograms() == shown
    assert total.stage("inference") is inference


def test_the_last_errors_of_all_are_the_newest_of_each(bundle: Bundle) -> None:
    events = [Event(number // 25, UNARY, ERRORS[0], "alarm", 0.1, False) for number in range(75)]
    total = Figures(bundle.model)

    sum_into(total, [sent(counted(bundle, events, front_end)) for front_end in (2, 0, 1)])

    assert [failure.time_s for failure in total.failures] == [1000.0 + number for number in range(55, 75)]


def test_nobody_sees_half_a_sum(bundle: Bundle) -> None:
    events = [Event(0, UNARY, Outcome.MATCHED, "alarm", 0.1, False) for _ in range(100)]
    part, total = sent(counted(bundle, events)), Figures(bundle.model)
    sum_into(total, [part])
    calls, histogram = total.calls, total.answer_duration
    counts = histogram.counts

    sum_into(total, [part])

    assert sum(calls.values()) == sum(counts) == 100  # as whoever is reading still has them
    assert total.calls is not calls
    assert histogram.counts is not counts
