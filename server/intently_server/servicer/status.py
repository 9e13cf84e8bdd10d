"""The one table from errors to gRPC statuses, and the rich status that callers get."""

import asyncio

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from intently_server.errors import (
    DeadlineUnmeetable,
    IntentlyError,
    InternalFault,
    InvalidInput,
    ItemCancelled,
    ModelNotFound,
    ModelNotServed,
    Overloaded,
    PermissionDenied,
    Superseded,
    Unauthenticated,
    Unavailable,
)
from intently_server.observer import Metadata

ERROR_DOMAIN = "intently.dev"

# The first row whose class the error is an instance of holds.
STATUS_TABLE: tuple[tuple[type[IntentlyError], grpc.StatusCode], ...] = (
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (ModelNotServed, grpc.StatusCode.FAILED_PRECONDITION),
    (ModelNotFound, grpc.StatusCode.NOT_FOUND),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (DeadlineUnmeetable, grpc.StatusCode.DEADLINE_EXCEEDED),
    (ItemCancelled, grpc.StatusCode.CANCELLED),
    (Superseded, grpc.StatusCode.ABORTED),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (InternalFault, grpc.StatusCode.INTERNAL),
)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def status_code(error: IntentlyError) -> grpc.StatusCode:
    """The gRPC code of an error.

    Raises:
        LookupError: if the table has no row for its class.
    """
    for kind, code in STATUS_TABLE:
        if isinstance(error, kind):
            return code
    raise LookupError(f"{type(error).__name__} has no row in STATUS_TABLE")


def rich_status(error: IntentlyError) -> status_pb2.Status:
    """The error as google.rpc.Status: code, text, ErrorInfo, and what the class adds to it."""
    details: list[Message] = [error_details_pb2.ErrorInfo(domain=ERROR_DOMAIN, reason=error.reason)]
    if isinstance(error, InvalidInput):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
                    for v in error.violations
                ]
            )
        )
    if isinstance(error, Overloaded):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=status_code(error).value[0], message=str(error), details=[_packed(detail) for detail in details]
    )


def trailing_metadata(
    error: IntentlyError, status: status_pb2.Status, more: Metadata = ()
) -> tuple[tuple[str, str | bytes], ...]:
    """What travels beside the code: the rich status, and the push-back that gRPC's own retry policy reads."""
    metadata: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.SerializeToString())]
    if isinstance(error, Overloaded):
        metadata.append(("grpc-retry-pushback-ms", str(max(1, round(error.retry_after_s * 1000)))))
    return (*metadata, *more)


async def abort(context: "grpc.aio.ServicerContext[bytes, Message]", error: IntentlyError, more: Metadata = ()) -> None:
    """Ends the call with the error's status, and `more` trailing metadata.

    Never returns: it raises what gRPC ends a handler with.
    """
    status = rich_status(error)
    if isinstance(error, DeadlineUnmeetable):
        # Envoy counts this status as a failure of the server where it comes without, as any caller could make it.
        try:
            await context.send_initial_metadata(())
        except grpc.aio.UsageError:
            pass  # a stream's is sent before
        except grpc.aio.InternalError as error_of_grpc:  # the caller has just gone
            raise asyncio.CancelledError from error_of_grpc
    await context.abort(_CODES[status.code], status.message, trailing_metadata(error, status, more))


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
