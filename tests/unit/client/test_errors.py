"""The client's exceptions: each status becomes the right class, with what the server said."""

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from intently.errors import (
    CancelledItemError,
    DeadlineExceededError,
    FieldViolation,
    IntentlyError,
    InvalidRequestError,
    ModelNotServedError,
    OverloadedError,
    UnavailableError,
    from_rpc_error,
    from_status,
)


def status(code: grpc.StatusCode, *details: Message) -> status_pb2.Status:
    packed = [any_pb2.Any() for _ in details]
    for target, detail in zip(packed, details, strict=True):
        target.Pack(detail)
    return status_pb2.Status(code=code.value[0], message="said the server", details=packed)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.FAILED_PRECONDITION, ModelNotServedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceededError),
        (grpc.StatusCode.INTERNAL, IntentlyError),
        (grpc.StatusCode.CANCELLED, IntentlyError),
    ],
)
def test_each_code_has_its_class(code: grpc.StatusCode, kind: type[IntentlyError]) -> None:
    error = from_status(status(code))
    assert type(error) is kind
    assert error.code is code
    assert str(error) == "said the server"


def test_reason_violations_and_retry_delay_are_kept() -> None:
    error = from_status(
        status(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="intently.dev"),
            error_details_pb2.BadRequest(
                field_violations=[error_details_pb2.BadRequest.FieldViolation(field="text", description="is empty")]
            ),
            error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000)),
        )
    )
    assert error.reason == "OVERLOADED"
    assert error.violations == (FieldViolation("text", "is empty"),)
    assert error.retry_after_s == 0.25


def test_without_details_nothing_is_made_up() -> None:
    error = from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED))
    assert (error.reason, error.violations, error.retry_after_s) == ("", (), None)


def test_a_code_that_grpc_does_not_know_is_unknown() -> None:
    assert from_status(status_pb2.Status(code=77, message="?")).code is grpc.StatusCode.UNKNOWN


def rpc_error(code: grpc.StatusCode, said: str, *details: Message) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status(code, *details).SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details=said)


def test_a_write_to_a_call_that_has_just_ended_is_a_lost_connection() -> None:
    error = from_rpc_error(rpc_error(grpc.StatusCode.INTERNAL, "Internal error from Core"))
    assert isinstance(error, UnavailableError)
    assert (error.code, str(error)) == (grpc.StatusCode.UNAVAILABLE, "the connection was lost")


def test_what_the_server_calls_internal_is_no_lost_connection() -> None:
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain="intently")
    for error in (
        rpc_error(grpc.StatusCode.INTERNAL, "Internal error from Core", info),
        rpc_error(grpc.StatusCode.INTERNAL, "broken"),
    ):
        assert type(from_rpc_error(error)) is IntentlyError


def test_a_call_that_the_server_s_side_cancelled_is_one_that_it_cannot_answer_now() -> None:
    shed = from_rpc_error(rpc_error(grpc.StatusCode.CANCELLED, ""))
    assert isinstance(shed, UnavailableError)
    assert shed.code is grpc.StatusCode.CANCELLED

    info = error_details_pb2.ErrorInfo(reason="ITEM_CANCELLED", domain="intently")
    assert isinstance(from_rpc_error(rpc_error(grpc.StatusCode.CANCELLED, "", info)), CancelledItemError)
