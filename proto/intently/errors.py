"""What a caller can be told, as exceptions with the server's reason and remedy.

IntentlyError
├── InvalidRequestError    mend the fields in `violations`
├── ModelNotServedError    the revision or label is not served there
├── OverloadedError        come back after `retry_after_s`
├── UnavailableError       nobody there, or not now; or the client was closed
├── DeadlineExceededError  no answer in time
├── UnauthenticatedError   the server does not know the caller
├── PermissionDeniedError  the server knows the caller, and refuses
├── SupersededError        a newer revision of the utterance took the item's place
└── CancelledItemError     the caller took the item back
Any other status is an IntentlyError itself.
"""

from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with a request: the field's path and a description."""

    field: str
    description: str


class IntentlyError(Exception):
    """A call that failed.

    Attributes:
        code: The gRPC status code.
        reason: The server's UPPER_SNAKE_CASE reason; "" where the error did not come from an Intently server.
        violations: For a bad request, what is wrong with which field.
        retry_after_s: For an overload, when to come back, in seconds.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.violations = violations
        self.retry_after_s = retry_after_s


class InvalidRequestError(IntentlyError):
    """The request is wrong: `violations` names the fields."""


class ModelNotServedError(IntentlyError):
    """The model asked for is not served there."""


class OverloadedError(IntentlyError):
    """The server is full, or the message too large for it (then `retry_after_s` is None)."""


class UnavailableError(IntentlyError):
    """There is no server, or it cannot answer now; `reason` is empty in the first case.

    A call that its server, or gRPC there, has cancelled counts as one, too: its `code` is CANCELLED.
    """


class DeadlineExceededError(IntentlyError):
    """There was no answer in time."""


class UnauthenticatedError(IntentlyError):
    """The server does not know the caller: no token or certificate, or none that it accepts."""


class PermissionDeniedError(IntentlyError):
    """The server knows who calls, and does not let them."""


class SupersededError(IntentlyError):
    """An item of a stream was not worked on: a newer revision of its utterance took its place."""


class CancelledItemError(IntentlyError):
    """An item of a stream was taken back by the caller."""


_CLASSES: dict[grpc.StatusCode, type[IntentlyError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.FAILED_PRECONDITION: ModelNotServedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
}
_CLASSES_BY_REASON: dict[str, type[IntentlyError]] = {
    "SUPERSEDED": SupersededError,
    "ITEM_CANCELLED": CancelledItemError,
}
_PUSHBACK_METADATA = "grpc-retry-pushback-ms"
_WRITE_FAILED = "Internal error from Core"  # what grpc.aio itself says of a call that ended under a write


def client_closed() -> UnavailableError:
    """The error of what is under way when its client is closed, and of what comes after."""
    return UnavailableError(grpc.StatusCode.UNAVAILABLE, "the client was closed")


def from_rpc_error(error: grpc.aio.AioRpcError) -> IntentlyError:
    """The exception for a failed call."""
    trailers = dict(error.trailing_metadata() or ())
    details = trailers.get("grpc-status-details-bin", b"")
    try:
        status = status_pb2.Status.FromString(details if isinstance(details, bytes) else b"")
    except DecodeError:
        status = status_pb2.Status()
    told = _build(
        error.code(), error.details() or error.code().name, status, _pushback_s(trailers.get(_PUSHBACK_METADATA))
    )
    if told.reason:
        return told
    if told.code is grpc.StatusCode.INTERNAL and error.details() == _WRITE_FAILED:
        return UnavailableError(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
    if told.code is grpc.StatusCode.CANCELLED:  # by the server: what the caller cancels raises no AioRpcError
        return UnavailableError(told.code, str(told))
    return told


def from_status(status: status_pb2.Status) -> IntentlyError:
    """The exception for a status inside a message: one result of a batch, or an item's error."""
    codes = {code.value[0]: code for code in grpc.StatusCode}
    return _build(codes.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status)


def _build(
    code: grpc.StatusCode, message: str, status: status_pb2.Status, pushback_s: float | None = None
) -> IntentlyError:
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    found = {type(part) for part in (info, request, retry) for packed in status.details if packed.Unpack(part)}
    return _CLASSES_BY_REASON.get(info.reason, _CLASSES.get(code, IntentlyError))(
        code,
        message,
        reason=info.reason,
        violations=tuple(FieldViolation(v.field, v.description) for v in request.field_violations),
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if type(retry) in found else pushback_s,
    )


def _pushback_s(value: str | bytes | None) -> float | None:
    """Seconds until the server, or a proxy, wants to see the call again; None if it says nothing, or never."""
    try:
        milliseconds = int(value or "")
    except ValueError:
        return None
    return milliseconds / 1000 if milliseconds >= 0 else None
