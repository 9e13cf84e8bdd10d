"""What a color said to one utterance, as far as two colors can be compared by it."""

from dataclasses import dataclass
from typing import NamedTuple

from intently.v1 import intent_service_pb2 as pb

OK = "OK"
MATCHED = "matched"
OUT_OF_SCOPE = "out_of_scope"
AMBIGUOUS = "ambiguous"

_OUTCOMES = {
    pb.OUTCOME_MATCHED: MATCHED,
    pb.OUTCOME_OUT_OF_SCOPE: OUT_OF_SCOPE,
    pb.OUTCOME_AMBIGUOUS: AMBIGUOUS,
}


class Decision(NamedTuple):
    """What a caller acts on: two answers differ where this does.

    Attributes:
        outcome: "matched", "out_of_scope" or "ambiguous".
        intent: The first prediction; "" where the utterance is out of scope, since none of its intents is meant then.
    """

    outcome: str
    intent: str

    def __str__(self) -> str:
        if self.outcome == OUT_OF_SCOPE:
            return "(out of scope)"
        return self.intent if self.outcome == MATCHED else f"{self.intent} ({self.outcome})"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        decision: What a caller acts on.
        confidence: Of the first prediction, or of being out of scope where that is the outcome.
        revision: Of the bundle that answered.
    """

    decision: Decision
    confidence: float
    revision: str


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call to one color ended.

    Attributes:
        status: gRPC's name for it.
        seconds: How long that took, at the caller.
        answer: None unless the status is OK.
    """

    status: str
    seconds: float
    answer: Answer | None = None


def answer_of(response: pb.ClassifyResponse) -> Answer:
    """The part of a response that is compared."""
    outcome = _OUTCOMES.get(response.outcome, "unspecified")
    best = response.predictions[0] if response.predictions else pb.IntentPrediction()
    if outcome == OUT_OF_SCOPE:
        return Answer(Decision(outcome, ""), response.out_of_scope_confidence, response.model.revision)
    return Answer(Decision(outcome, best.intent), best.confidence, response.model.revision)
