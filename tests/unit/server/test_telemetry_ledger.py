"""What is noted is counted once, whenever it is settled; a fault in that harms nobody."""

import asyncio
import logging

import pytest

from intently_server.bundle import Bundle
from intently_server.errors import Draining, IntentlyError, InvalidInput, ItemCancelled, Overloaded, Superseded
from intently_server.telemetry.figures import STREAM, Figures
from intently_server.telemetry.ledger import CallRecord, Ledger, UtteranceEntry
from intently_server.types import Classification, Decision, Outcome, Prediction, Stages

CLASSIFY, BATCH = "intently.v1.IntentService/Classify", "intently.v1.IntentService/BatchClassify"
STAGES = Stages(arrived=1.0, admitted=1.001, encoded=1.003, started=1.006, inferred=1.016, decided=1.017)


def answer(outcome: Outcome, *predictions: Prediction) -> Classification:
    return Classification(Decision(outcome, predictions, 0.25), input_tokens=200, cached_tokens=150, truncated=False)


def call(
    *results: Classification | BaseException,
    method: str = CLASSIFY,
    status: str = "OK",
    error: BaseException | None = None,
    stages: Stages = STAGES,
) -> CallRecord:
    """A call that ended, with its utterances."""
    made = CallRecord(method, 1.0, None)
    made.utterances.extend(UtteranceEntry(stages, result, 2.0, None) for result in results)
    made.ended_at, made.status, made.error = 2.0, status, error
    return made


@pytest.fixture
def figures(bundle: Bundle) -> Figures:
    """Nothing counted yet."""
    return Figures(bundle.model)


@pytest.fixture
def ledger(figures: Figures) -> Ledger:
    """Nothing noted yet; 1970 began 1,000 s before the clock did."""
    return Ledger(figures, clock=lambda: 5.0, now_s=lambda: 1005.0)


def test_outcomes_and_intents(figures: Figures, ledger: Ledger) -> None:
    best = Prediction("alarm", 0.9, 3.0)
    for result in (
        answer(Outcome.MATCHED, best, Prediction("time", 0.1, 1.0)),
        answer(Outcome.AMBIGUOUS, best),
        answer(Outcome.AMBIGUOUS),
        answer(Outcome.OUT_OF_SCOPE, best),
    ):
        ledger.ended(call(result))
    ledger.settle()

    assert figures.utterances == {
        (CLASSIFY, "matched", ""): 1,
        (CLASSIFY, "ambiguous", ""): 2,
        (CLASSIFY, "out_of_scope", ""): 1,
    }
    assert figures.predictions == {
        ("alarm", "matched"): 1,
        ("alarm", "ambiguous"): 1,
        ("out_of_scope", "out_of_scope"): 1,
    }
    assert (figures.input_tokens, figures.cached_tokens) == (800, 600)
    assert sum(sum(histogram.counts) for _, histogram in figures.confidence.members()) == 3


def test_each_stage_takes_what_lies_between_its_moments(figures: Figures, ledger: Ledger) -> None:
    ledger.ended(call(answer(Outcome.MATCHED, Prediction("alarm", 0.9, 3.0))))
    ledger.settle()

    taken = {name: figures.stage(name).sum for name in ("receive", "tokenize", "queue", "inference", "calibrate")}
    expected = {"receive": 0.001, "tokenize": 0.002, "queue": 0.003, "inference": 0.01, "calibrate": 0.001}
    assert taken == pytest.approx(expected)
    assert figures.answer_duration.sum == pytest.approx(0.017)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InvalidInput.of("text", "is empty"), "INVALID_ARGUMENT", "INVALID_INPUT"),
        (Overloaded("full", 0.1), "RESOURCE_EXHAUSTED", "OVERLOADED"),
        (RuntimeError("what a user said"), "INTERNAL", "INTERNAL"),
    ],
)
def test_a_failed_call_is_counted_and_kept_without_its_text(
    figures: Figures, ledger: Ledger, error: Exception, status: str, reason: str
) -> None:
    ledger.ended(call(error, status=status, error=error, stages=Stages(1.0)))
    ledger.settle()

    [failure] = figures.failures
    assert figures.calls == {(CLASSIFY, status, reason): 1}
    assert figures.utterances == {(CLASSIFY, "error", reason): 1}
    assert (failure.status, failure.reason, failure.time_s) == (status, reason, 1002.0)
    assert failure.fields == (("text",) if reason == "INVALID_INPUT" else ())
    assert failure.exception == ("builtins.RuntimeError" if reason == "INTERNAL" else "")
    assert str(error) not in str(failure)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("the connection is gone")])
def test_a_caller_that_goes_away_is_no_error(figures: Figures, ledger: Ledger, error: BaseException) -> None:
    ledger.ended(call(status="CANCELLED", error=error))
    ledger.settle()

    assert figures.calls == {(CLASSIFY, "CANCELLED", "CANCELLED"): 1}
    assert not figures.failures


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        ("CANCELLED", asyncio.CancelledError(), "CANCELLED"),
        ("DEADLINE_EXCEEDED", asyncio.CancelledError(), "DEADLINE_EXCEEDED"),
        ("UNAVAILABLE", Draining("bye"), "DRAINING"),
    ],
)
def test_what_is_cut_off_has_the_reason_of_its_call(
    figures: Figures, ledger: Ledger, status: str, error: BaseException, reason: str
) -> None:
    ledger.ended(call(asyncio.CancelledError(), status=status, error=error, stages=Stages(1.0, 1.1)))
    ledger.settle()

    assert figures.calls == {(CLASSIFY, status, reason): 1}
    assert figures.utterances == {(CLASSIFY, "error", reason): 1}
    assert [(each.status, each.reason, each.exception) for each in figures.failures] == (
        [] if reason == "CANCELLED" else [(status, reason, "")]
    )


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ItemCancelled("taken back"), False),
        (Superseded("by revision 2"), False),
        (asyncio.CancelledError(), False),
        (Draining("bye"), True),
        (InvalidInput.of("item_id", "is empty"), True),
    ],
)
def test_items_of_a_stream_are_counted_while_it_lasts_and_wishes_are_no_errors(
    figures: Figures, ledger: Ledger, error: BaseException, kept: bool
) -> None:
    ledger.classified(CallRecord(STREAM, 1.0, None), UtteranceEntry(Stages(1.0), error, 2.0, None))
    ledger.settle()

    reason = error.reason if isinstance(error, IntentlyError) else "CANCELLED"
    assert figures.utterances == {(STREAM, "error", reason): 1}
    assert [each.reason for each in figures.failures] == ([reason] if kept else [])
    assert not figures.calls


def test_one_failure_of_several_is_kept_of_its_own(figures: Figures, ledger: Ledger) -> None:
    ledger.ended(call(Overloaded("full", 0.1), method=BATCH, stages=Stages(1.0)))
    ledger.settle()

    [failure] = figures.failures
    assert (failure.method, failure.status, failure.reason) == (BATCH, "", "OVERLOADED")


def test_nothing_is_counted_twice_nor_kept_for_long(figures: Figures, ledger: Ledger) -> None:
    for _ in range(1000):
        ledger.ended(call())
    assert sum(figures.calls.values()) > 900

    ledger.settle()
    ledger.settle()
    assert sum(figures.calls.values()) == 1000


def test_a_fault_is_logged_and_the_rest_is_counted(
    figures: Figures, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    good = answer(Outcome.MATCHED, Prediction("alarm", 0.9, 3.0))
    impossible = Classification(good.decision, input_tokens=0, cached_tokens=0, truncated=False)
    with caplog.at_level(logging.ERROR, "intently_server"):
        ledger.ended(call(good, impossible, good, method=BATCH))
        ledger.settle()

    assert [record.getMessage() for record in caplog.records] == ["an utterance could not be counted"]
    assert sum(sum(histogram.counts) for _, histogram in figures.confidence.members()) == 2
    assert sum(figures.calls.values()) == 1
