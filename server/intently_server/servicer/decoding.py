"""Decodes for gRPC's own services, health and reflection, what they would leave to gRPC.

gRPC answers bytes that are no protobuf with UNKNOWN, and logs an ERROR for a caller's mistake.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from intently_server.errors import InvalidInput
from intently_server.servicer.call import Context
from intently_server.servicer.status import abort

Handler = Any  # grpc.RpcMethodHandler, whose stubs do not know its fields


class Decoding(grpc.aio.ServerInterceptor):
    """Takes the decoding from handlers that have a deserializer; answers INVALID_ARGUMENT where it fails."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """The handler of a call, without a deserializer."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(_stream(handler), None, handler.response_serializer)
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(_unary(handler), None, handler.response_serializer)


def _unary(handler: Handler) -> Callable[[bytes, Context], Awaitable[Any]]:
    """A coroutine for one that takes a request, and answers itself or writes."""
    inner = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def answer(raw: bytes, context: Context) -> Any:
        return await inner(await _decode(handler, raw, context), context)

    return answer


def _stream(handler: Handler) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[Any]]:
    """A generator for one that takes an iterator of requests, and yields."""

    async def decoded(raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async for data in raw:
            yield await _decode(handler, data, context)

    async def answer(raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async for response in handler.stream_stream(decoded(raw, context), context):
            yield response

    return answer


async def _decode(handler: Handler, data: bytes, context: Context) -> Any:
    try:
        return handler.request_deserializer(data)
    except DecodeError:
        return await abort(context, InvalidInput.of("(message)", "the bytes are no request of this method"))
