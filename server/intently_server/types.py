"""What goes in and out of the classifier: frozen values without protobuf or gRPC."""

import enum
from dataclasses import dataclass, field


class Role(enum.Enum):
    """Who said a turn."""

    USER = "user"
    ASSISTANT = "assistant"


class Outcome(enum.Enum):
    """What was decided about an utterance. Meanings stand at `Outcome` in intent_service.proto."""

    MATCHED = "matched"
    OUT_OF_SCOPE = "out_of_scope"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the conversation before the utterance. `role` is None where the caller gave none."""

    role: Role | None
    text: str


@dataclass(frozen=True, slots=True)
class ModelSelector:
    """Which model must answer: by revision or by label. Both None: the selector was sent empty."""

    revision: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One utterance to classify, not yet validated.

    Fields are those of `ClassifyRequest`, and `trim_context`: whether the oldest turns may be left out to make the
    prompt fit, as in a context that the server itself accumulates.
    """

    text: str
    context: tuple[Turn, ...] = ()
    request_id: str = ""
    language_code: str = ""
    model: ModelSelector | None = None
    candidate_intents: tuple[str, ...] = ()
    top_k: int | None = None
    min_confidence: float | None = None
    allow_truncation: bool = False
    trim_context: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """An intent, its calibrated probability in [0, 1], and its logit before calibration."""

    intent: str
    confidence: float
    raw_score: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What the logits of one utterance mean: predictions best first, and the out-of-scope confidence in [0, 1]."""

    outcome: Outcome
    predictions: tuple[Prediction, ...]
    out_of_scope_confidence: float


class Priority(enum.StrEnum):
    """Which requests come first where some must wait; a higher one gets a larger share, and none is starved."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and until when.

    Attributes:
        flow: Names the caller, or its connection where nobody knows the name; its requests share a part of the server.
        priority: What the caller claims, within what the operator allows.
        deadline: When the caller gives up, in seconds of the server's monotonic clock; None for never.
        patient: Whether the request may wait as long as its deadline allows, as those of a batch may.
        waited_s: Seconds that the request waited in a proxy before it came here.
    """

    flow: str = ""
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    patient: bool = False
    waited_s: float = 0.0


@dataclass(slots=True)
class Stages:
    """When one request reached which stage, in seconds of a monotonic clock; 0.0 for a stage that it did not reach.

    The one record of a request's time: the answer's timing, spans and histograms are all made from it. It is filled in
    as the request goes on, so that it tells how far one came that failed.

    Attributes:
        arrived: The message was read.
        place_in_queue: Where it waits, or waited, for its turn; None if it did not have to.
        admitted: A place was there for it.
        encoded: Its text was tokenized.
        started: Its turn came, and the engine was given it.
        inferred: The engine answered.
        decided: The answer was made.
    """

    arrived: float
    admitted: float = 0.0
    encoded: float = 0.0
    started: float = 0.0
    inferred: float = 0.0
    decided: float = 0.0
    place_in_queue: int | None = None

    @property
    def timing(self) -> "Timing":
        """Where the time of an answered request went."""
        waited = (self.admitted - self.arrived) + (self.started - self.encoded)
        return Timing(waited, self.encoded - self.admitted, self.inferred - self.started)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one classification went, in seconds: waiting, tokenizing, in the engine."""

    queue_s: float = 0.0
    tokenize_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer to one query. Token counts are of the whole prompt."""

    decision: Decision
    input_tokens: int
    cached_tokens: int
    truncated: bool
    timing: Timing = field(default_factory=Timing)
