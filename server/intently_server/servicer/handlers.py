"""Turns a servicer into gRPC handlers that decode for themselves and answer every error with its status.

Decoding is ours because gRPC answers bytes that are no protobuf with UNKNOWN and logs an ERROR for a caller's mistake.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from intently_server.errors import IntentlyError, InternalFault, InvalidInput
from intently_server.lifecycle import Lifecycle
from intently_server.servicer.status import abort
from intently_server.servicer.wire_fault import explain

logger = logging.getLogger(__name__)

Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


def service_handler(service: ServiceDescriptor, servicer: object, lifecycle: Lifecycle) -> grpc.GenericRpcHandler:
    """Handlers for all methods of a service.

    Args:
        service: From the generated code.
        servicer: Has a coroutine for each method, named like it. A unary one takes the request and the context and
            returns the response; a stream one takes an iterator of requests, in which an InvalidInput stands for a
            message that could not be decoded, and the context, and writes its responses itself.
        lifecycle: Told of each call while it is under way.
    """
    handlers = {
        method.name: _method_handler(method, getattr(servicer, method.name), lifecycle) for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _method_handler(method: MethodDescriptor, call: Any, lifecycle: Lifecycle) -> "grpc.RpcMethodHandler[Any, Any]":
    if method.client_streaming:

        async def stream(raw: AsyncIterator[bytes], context: Context) -> None:
            await _guarded(lambda: call(_decoded(raw, method), context), context, method, lifecycle)

        return grpc.stream_stream_rpc_method_handler(stream, None, _encode)

    async def unary(raw: bytes, context: Context) -> Any:
        async def answer() -> Any:
            request = _decode(raw, method)
            if isinstance(request, InvalidInput):
                raise request
            return await call(request, context)

        return await _guarded(answer, context, method, lifecycle)

    return grpc.unary_unary_rpc_method_handler(unary, None, _encode)


async def _guarded(
    call: Callable[[], Awaitable[Any]], context: Context, method: MethodDescriptor, lifecycle: Lifecycle
) -> Any:
    """Runs a call and ends it with the status of whatever error it raises."""
    with lifecycle.call():
        try:
            return await call()
        except IntentlyError as error:
            return await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            logger.exception("%s failed", method.full_name)
            return await abort(context, InternalFault())


async def _decoded(raw: AsyncIterator[bytes], method: MethodDescriptor) -> AsyncIterator[Message | InvalidInput]:
    async for data in raw:
        yield _decode(data, method)


def _decode(data: bytes, method: MethodDescriptor) -> Message | InvalidInput:
    try:
        return GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return explain(data, method.input_type)


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
