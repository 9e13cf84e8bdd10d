"""What may be wrong with a stream's configuration and with its items."""

from collections.abc import Container

from intently.v1 import intent_service_pb2 as pb
from intently_server.errors import InvalidInput, Violation
from intently_server.servicer import convert
from intently_server.validation import MAX_REQUEST_ID_CHARS, QueryValidator


def check_config(config: pb.StreamConfig, validator: QueryValidator, max_turns: int) -> None:
    """Accepts a stream's configuration in silence.

    Raises:
        InvalidInput: names the field that is wrong.
        ModelNotServed: if another model is asked for.
    """
    if config.max_in_flight < 0:
        raise InvalidInput.of("config.max_in_flight", f"is {config.max_in_flight}; it cannot be negative")
    if config.initial_context and not config.accumulate_context:
        raise InvalidInput.of("config.initial_context", "needs accumulate_context")
    if len(config.initial_context) > max_turns:
        raise InvalidInput.of(
            "config.initial_context", f"has {len(config.initial_context)} turns; the limit is {max_turns}"
        )
    validator.check_turns([convert.turn(each) for each in config.initial_context], "config.initial_context")
    if config.HasField("model"):
        validator.check_model(convert.selector(config.model), "config.model")


def check_item(
    item: pb.ClassifyItem, validator: QueryValidator, *, in_flight: Container[str], accumulates: bool
) -> None:
    """Accepts an item in silence, as far as the stream is concerned.

    Args:
        item: What came.
        validator: Of what replaces others: an older revision, which would be lost for one that is refused, or a turn of
            the context, with which every later item would be refused.
        in_flight: The ids that are taken.
        accumulates: Whether the stream accumulates its context.

    Raises:
        IntentlyError: names every field that is wrong.
    """
    request, violations = item.request, []
    if not request.request_id:
        violations.append(Violation("item.request.request_id", "is required on a stream"))
    if len(request.request_id) > MAX_REQUEST_ID_CHARS:
        violations.append(Violation("request_id", f"is longer than {MAX_REQUEST_ID_CHARS} characters"))
    if request.request_id in in_flight:
        violations.append(Violation("item.request.request_id", "is in flight on this stream already"))
    if accumulates and request.context:
        violations.append(Violation("item.request.context", "must be empty: this stream accumulates its context"))
    if item.sequence and not item.utterance_id:
        violations.append(Violation("item.sequence", "needs an utterance_id"))
    if item.sequence < 0:
        violations.append(Violation("item.sequence", "cannot be negative"))
    if len(item.utterance_id) > MAX_REQUEST_ID_CHARS:
        violations.append(Violation("item.utterance_id", f"is longer than {MAX_REQUEST_ID_CHARS} characters"))
    if violations:
        raise InvalidInput(violations)
    if accumulates or item.utterance_id:
        validator.check_counts(len(request.context), len(request.candidate_intents))
        validator.check(convert.query(request))
