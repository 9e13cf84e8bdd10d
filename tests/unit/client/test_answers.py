"""The client's answers: what a response means to the caller."""

import pytest

from intently import Classification, Outcome
from intently.v1 import intent_service_pb2 as pb


def answer(outcome: "pb.Outcome", *predictions: tuple[str, float]) -> Classification:
    return Classification.from_message(
        pb.ClassifyResponse(
            outcome=outcome,
            predictions=[pb.IntentPrediction(intent=intent, confidence=c) for intent, c in predictions],
            out_of_scope_confidence=0.25,
        )
    )


def test_a_match_names_the_intent_to_act_on() -> None:
    matched = answer(pb.OUTCOME_MATCHED, ("alarm", 0.9), ("timer", 0.05))
    assert matched.outcome is Outcome.MATCHED
    assert (matched.intent, matched.confidence) == ("alarm", 0.9)
    assert [p.intent for p in matched.predictions] == ["alarm", "timer"]


@pytest.mark.parametrize("outcome", [pb.OUTCOME_OUT_OF_SCOPE, pb.OUTCOME_AMBIGUOUS])
def test_without_a_match_there_is_no_intent_to_act_on(outcome: "pb.Outcome") -> None:
    unmatched = answer(outcome, ("alarm", 0.5), ("timer", 0.45))
    assert unmatched.intent is None
    assert unmatched.confidence == 0.5


def test_no_predictions_have_no_confidence() -> None:
    assert answer(pb.OUTCOME_AMBIGUOUS).confidence == 0.0


@pytest.mark.parametrize("number", [pb.OUTCOME_UNSPECIFIED, 77])
def test_an_outcome_of_a_later_version_is_not_acted_on(number: "pb.Outcome") -> None:
    later = answer(number, ("alarm", 0.9))
    assert later.outcome is Outcome.UNKNOWN
    assert later.intent is None


def test_every_outcome_of_the_contract_is_known() -> None:
    assert {outcome.value for outcome in Outcome} == set(pb.Outcome.values())
