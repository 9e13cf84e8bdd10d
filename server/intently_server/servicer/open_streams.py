"""Bounds how many calls are open at once that answer with streams: each lasts as long as its caller likes."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from intently_server.errors import Overloaded
from intently_server.observer import Observer
from intently_server.servicer.call import Context
from intently_server.servicer.status import abort, status_code

_RETRY_S = 1.0  # nobody knows when a stream will end

Handler = Any  # grpc.RpcMethodHandler, whose stubs do not know its fields


class OpenStreams(grpc.aio.ServerInterceptor):
    """Counts streams over all connections and methods, and refuses those beyond the limit before they are read.

    Args:
        limit: Streams at once.
        observer: Told of each that is refused.
    """

    def __init__(self, limit: int, observer: Observer) -> None:
        self._limit = limit
        self._observer = observer
        self._open = 0

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """The handler of a call; that of a stream counts."""
        handler = await continuation(details)
        if handler is None or not handler.response_streaming:
            return handler
        streaming = handler.request_streaming
        make = grpc.stream_stream_rpc_method_handler if streaming else grpc.unary_stream_rpc_method_handler
        inner = handler.stream_stream if streaming else handler.unary_stream
        counted = self._counted(inner, details.method.lstrip("/"))
        return make(counted, handler.request_deserializer, handler.response_serializer)

    def _counted(self, inner: Any, method: str) -> Any:
        """A coroutine for one that writes its answers itself, or a generator for one that yields them."""

        async def write(request: Any, context: Context) -> None:
            await self._enter(method, context)
            try:
                await inner(request, context)
            finally:
                self._open -= 1

        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            await self._enter(method, context)
            try:
                async for response in inner(request, context):
                    yield response
            finally:
                self._open -= 1

        return answer if inspect.isasyncgenfunction(inner) else write

    async def _enter(self, method: str, context: Context) -> None:
        """Counts a stream; beyond the limit it ends the call instead, and does not return."""
        if self._open >= self._limit:
            error = Overloaded(f"{self._limit} streams are open, as many as this server takes", _RETRY_S)
            self._observer.refused(method, status_code(error).name, error)
            await abort(context, error)
        self._open += 1
