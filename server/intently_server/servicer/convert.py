"""Between protobuf messages and the classifier's values."""

from google.protobuf.duration_pb2 import Duration

from intently.v1 import intent_service_pb2 as pb
from intently_server.model import Model
from intently_server.types import Classification, ModelSelector, Outcome, Query, Role, Turn

_ROLES = {pb.ROLE_USER: Role.USER, pb.ROLE_ASSISTANT: Role.ASSISTANT}
_OUTCOMES = {
    Outcome.MATCHED: pb.OUTCOME_MATCHED,
    Outcome.OUT_OF_SCOPE: pb.OUTCOME_OUT_OF_SCOPE,
    Outcome.AMBIGUOUS: pb.OUTCOME_AMBIGUOUS,
}


def query(request: pb.ClassifyRequest, *, trim_context: bool = False) -> Query:
    """The query that a request asks; nothing is validated yet. `trim_context` is for contexts the server keeps."""
    return Query(
        text=request.text,
        context=tuple(turn(each) for each in request.context),
        request_id=request.request_id,
        language_code=request.language_code,
        model=selector(request.model) if request.HasField("model") else None,
        candidate_intents=tuple(request.candidate_intents),
        top_k=request.top_k if request.HasField("top_k") else None,
        min_confidence=request.min_confidence if request.HasField("min_confidence") else None,
        allow_truncation=request.allow_truncation,
        trim_context=trim_context,
    )


def turn(message: pb.Turn) -> Turn:
    """A turn; its role is None where the message has none that is known."""
    return Turn(_ROLES.get(message.role), message.text)


def selector(message: pb.ModelSelector) -> ModelSelector:
    """A selector of a model, possibly empty."""
    which = message.WhichOneof("selector")
    return ModelSelector(
        revision=message.revision if which == "revision" else None,
        label=message.label if which == "label" else None,
    )


def response(request_id: str, classification: Classification, model: Model) -> pb.ClassifyResponse:
    """The answer to a request."""
    decision, timing = classification.decision, classification.timing
    answer = pb.ClassifyResponse(
        request_id=request_id,
        outcome=_OUTCOMES[decision.outcome],
        out_of_scope_confidence=decision.out_of_scope_confidence,
        input_tokens=classification.input_tokens,
        cached_tokens=classification.cached_tokens,
        truncated=classification.truncated,
    )
    # Filled in place: messages that are passed to another are copied, at half the cost of an answer with many of them.
    add = answer.predictions.add
    for prediction in decision.predictions:
        add(intent=prediction.intent, confidence=prediction.confidence, raw_score=prediction.raw_score)
    answer.model.CopyFrom(model_info(model))
    answer.timing.queue.FromNanoseconds(_nanoseconds(timing.queue_s))
    answer.timing.tokenize.FromNanoseconds(_nanoseconds(timing.tokenize_s))
    answer.timing.inference.FromNanoseconds(_nanoseconds(timing.inference_s))
    return answer


def model_info(model: Model) -> pb.ModelInfo:
    """Who answered."""
    return pb.ModelInfo(model=model.name, revision=model.revision, label_set_version=model.label_set_version)


def duration(seconds: float) -> Duration:
    """A duration of so many seconds, to the nanosecond; a negative one becomes 0."""
    message = Duration()
    message.FromNanoseconds(_nanoseconds(seconds))
    return message


def _nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e9))
