"""Who is asked for nothing, and how a caller is refused."""

from typing import Any

import grpc

from intently_server.errors import IntentlyError
from intently_server.observer import Metadata, Observer
from intently_server.servicer.status import abort, status_code

UNKNOWN_METHOD = "_OTHER"  # what OpenTelemetry's conventions call a method that is not served
_EXEMPT = "/grpc.health.v1.Health/"  # probes have no credentials to show, and it tells nothing worth hiding


def exempt(method: str) -> bool:
    """Whether this method, such as "/package.Service/Method", is for everybody who can connect."""
    return method.startswith(_EXEMPT)


async def refuse(method: str, context: Any, observer: Observer, error: IntentlyError, more: Metadata = ()) -> None:
    """Ends a call with the error's status and `more` trailing metadata, and tells the observer.

    Never returns: it raises what gRPC ends a handler with.
    """
    observer.refused(method.lstrip("/"), status_code(error).name, error)
    await abort(context, error, more)


def refusing(
    method: str, observer: Observer, error: IntentlyError, more: Metadata = ()
) -> "grpc.RpcMethodHandler[Any, Any]":
    """A handler that refuses every call, of any shape, before any of its messages is read."""

    async def answer(_messages: Any, context: Any) -> None:
        await refuse(method, context, observer, error, more)

    return grpc.stream_stream_rpc_method_handler(answer)
