"""What callers send and get: turns, priorities, predictions, answers."""

import enum
from dataclasses import dataclass

from intently.v1 import intent_service_pb2 as pb


class Outcome(enum.Enum):
    """What the server decided; see `Outcome` in intent_service.proto."""

    UNKNOWN = pb.OUTCOME_UNSPECIFIED  # one that this version of the client does not know; do not act on it
    MATCHED = pb.OUTCOME_MATCHED
    OUT_OF_SCOPE = pb.OUTCOME_OUT_OF_SCOPE
    AMBIGUOUS = pb.OUTCOME_AMBIGUOUS


class Role(enum.Enum):
    """Who said a turn."""

    USER = pb.ROLE_USER
    ASSISTANT = pb.ROLE_ASSISTANT


class Priority(enum.Enum):
    """Who goes first where a server has more to do than it can; a server may bound what callers can claim."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the conversation before the utterance."""

    role: Role
    text: str

    @classmethod
    def of_user(cls, text: str) -> "Turn":
        """What the user said."""
        return cls(Role.USER, text)

    def to_message(self) -> pb.Turn:
        """The turn as it is sent."""
        return pb.Turn(role=self.role.value, text=self.text)


@dataclass(frozen=True, slots=True)
class Prediction:
    """An intent and its calibrated probability, 0 to 1."""

    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer to one utterance.

    Attributes:
        outcome: What was decided. Act on `intent` when it is MATCHED.
        predictions: The likeliest intents, best first; with OUT_OF_SCOPE only the nearest, for inspection.
        out_of_scope_confidence: How much speaks for none of the model's intents, 0 to 1.
        message: The whole response: model, timing, token counts.
    """

    outcome: Outcome
    predictions: tuple[Prediction, ...]
    out_of_scope_confidence: float
    message: pb.ClassifyResponse

    @property
    def intent(self) -> str | None:
        """The intent to act on; None unless the outcome is MATCHED."""
        return self.predictions[0].intent if self.outcome is Outcome.MATCHED else None

    @property
    def confidence(self) -> float:
        """The confidence of the best prediction; 0.0 if there is none."""
        return self.predictions[0].confidence if self.predictions else 0.0

    @classmethod
    def from_message(cls, message: pb.ClassifyResponse) -> "Classification":
        """The answer that a response holds."""
        known = {outcome.value for outcome in Outcome}
        return cls(
            outcome=Outcome(message.outcome) if message.outcome in known else Outcome.UNKNOWN,
            predictions=tuple(Prediction(p.intent, p.confidence) for p in message.predictions),
            out_of_scope_confidence=message.out_of_scope_confidence,
            message=message,
        )
