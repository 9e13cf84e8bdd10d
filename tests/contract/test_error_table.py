"""Every error that a caller may be told of has one status, a reason of its own, and the details that its class owes."""

import re
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from intently_server.errors import IntentlyError, InvalidInput, Overloaded, Violation
from intently_server.servicer.status import ERROR_DOMAIN, STATUS_TABLE, rich_status, status_code, trailing_metadata


def subclasses(kind: type[IntentlyError]) -> Iterator[type[IntentlyError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


ERRORS = sorted(subclasses(IntentlyError), key=lambda kind: kind.__name__)
every_error = pytest.mark.parametrize("kind", ERRORS)

# The codes of the design's table, by the errors' reasons.
CODES = {
    "INVALID_INPUT": "INVALID_ARGUMENT",
    "MODEL_NOT_SERVED": "FAILED_PRECONDITION",
    "MODEL_NOT_FOUND": "NOT_FOUND",
    "OVERLOADED": "RESOURCE_EXHAUSTED",
    "UNAVAILABLE": "UNAVAILABLE",
    "STARTING": "UNAVAILABLE",
    "DRAINING": "UNAVAILABLE",
    "ENGINE_DEAD": "UNAVAILABLE",
    "DEADLINE_UNMEETABLE": "DEADLINE_EXCEEDED",
    "ITEM_CANCELLED": "CANCELLED",
    "UNAUTHENTICATED": "UNAUTHENTICATED",
    "MISSING_TOKEN": "UNAUTHENTICATED",
    "INVALID_TOKEN": "UNAUTHENTICATED",
    "PERMISSION_DENIED": "PERMISSION_DENIED",
    "IDENTITY_NOT_ALLOWED": "PERMISSION_DENIED",
    "SUPERSEDED": "ABORTED",
    "INTERNAL": "INTERNAL",
}


def example(kind: type[IntentlyError]) -> IntentlyError:
    """An error of this class."""
    if issubclass(kind, InvalidInput):
        return kind([Violation("text", "is empty"), Violation("top_k", "is -1")])
    if issubclass(kind, Overloaded):
        return kind("full", 0.25)
    try:
        return kind("why")
    except TypeError:
        return kind()


def detail(status: status_pb2.Status, message: Message) -> bool:
    """Whether the status carries a detail of the message's type, which is then read into it."""
    return any(packed.Unpack(message) for packed in status.details if packed.Is(message.DESCRIPTOR))


def test_the_table_of_the_design_is_complete() -> None:
    assert {kind.reason for kind in ERRORS} == set(CODES)


@every_error
def test_every_error_has_its_status(kind: type[IntentlyError]) -> None:
    error = example(kind)

    assert status_code(error) is grpc.StatusCode[CODES[kind.reason]]
    assert rich_status(error).code == status_code(error).value[0]
    assert rich_status(error).message == str(error)


@every_error
def test_every_error_says_its_reason(kind: type[IntentlyError]) -> None:
    info = error_details_pb2.ErrorInfo()

    assert detail(rich_status(example(kind)), info)
    assert info.domain == ERROR_DOMAIN
    assert info.reason == kind.reason
    assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", info.reason)


def test_reasons_are_unique() -> None:
    assert len({kind.reason for kind in ERRORS}) == len(ERRORS)


def test_no_row_of_the_table_is_hidden_by_an_earlier_one() -> None:
    kinds = [kind for kind, _ in STATUS_TABLE]
    hidden = [later for at, later in enumerate(kinds) if issubclass(later, tuple(kinds[:at]))]

    assert hidden == []


def test_an_error_without_a_row_is_noticed() -> None:
    with pytest.raises(LookupError, match="IntentlyError"):
        status_code(IntentlyError("nobody raises the base"))


@every_error
def test_only_bad_input_names_fields_and_only_overload_says_when_to_come_back(kind: type[IntentlyError]) -> None:
    error = example(kind)
    status = rich_status(error)
    bad_request, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()

    assert detail(status, bad_request) == isinstance(error, InvalidInput)
    assert detail(status, retry) == isinstance(error, Overloaded)
    if isinstance(error, InvalidInput):
        assert [(v.field, v.description) for v in bad_request.field_violations] == [
            ("text", "is empty"),
            ("top_k", "is -1"),
        ]
    if isinstance(error, Overloaded):
        assert retry.retry_delay.ToMilliseconds() == 250


@every_error
def test_what_travels_beside_the_code(kind: type[IntentlyError]) -> None:
    error = example(kind)
    metadata = dict(trailing_metadata(error, rich_status(error)))

    packed = metadata.pop("grpc-status-details-bin")
    assert isinstance(packed, bytes)
    assert status_pb2.Status.FromString(packed) == rich_status(error)
    assert metadata == ({"grpc-retry-pushback-ms": "250"} if isinstance(error, Overloaded) else {})


def test_an_internal_fault_tells_nothing() -> None:
    kind = next(kind for kind in ERRORS if kind.reason == "INTERNAL")

    with pytest.raises(TypeError):
        kind("a detail")
