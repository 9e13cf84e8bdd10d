"""Bounds how many calls are open at once that answer with streams: each lasts as long as its caller likes.

Watches of health count apart: whoever opens all other streams blinds no probe, and needs no credentials for a watch.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from intently_server.errors import Overloaded
from intently_server.observer import Observer
from intently_server.servicer.call import AUTHENTICATED, Context
from intently_server.servicer.shared_room import SharedRoom
from intently_server.servicer.status import abort, status_code

_HEALTH = "grpc.health.v1.Health/"
_RETRY_S = 1.0  # nobody knows when a stream will end

Handler = Any  # grpc.RpcMethodHandler, whose stubs do not know its fields


class OpenStreams(grpc.aio.ServerInterceptor):
    """Counts streams over all connections and methods, and refuses those beyond the limit before they are read.

    Args:
        limit: Streams at once, and as many watches of health. A caller may have as many as it leaves free for others,
            and always a thousandth of the limit, at least one.
        observer: Told of each that is refused.
    """

    def __init__(self, limit: int, observer: Observer) -> None:
        self._observer = observer
        assured = max(1, limit // 1000)
        self._streams, self._watches = (SharedRoom(limit, limit, assured) for _ in range(2))

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

        room = self._watches if method.startswith(_HEALTH) else self._streams

        async def write(request: Any, context: Context) -> None:
            caller = await self._enter(room, method, context)
            try:
                await inner(request, context)
            finally:
                room.give_back(caller, 1)

        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            caller = await self._enter(room, method, context)
            try:
                async for response in inner(request, context):
                    yield response
            finally:
                room.give_back(caller, 1)

        return answer if inspect.isasyncgenfunction(inner) else write

    async def _enter(self, room: SharedRoom, method: str, context: Context) -> str:
        """Counts a stream and returns whose it is; beyond the limit it ends the call instead, and does not return."""
        caller = AUTHENTICATED.get() or context.peer()
        if room.left(caller) <= 0:
            error = Overloaded("too many streams are open, of this caller or of all together", _RETRY_S)
            self._observer.refused(method, status_code(error).name, error)
            await abort(context, error)
        room.take(caller, 1)
        return str(caller)
