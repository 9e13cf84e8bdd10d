"""A stand-in for a proxy in front of several servers: new calls go to those that are healthy, in turn.

It knows nothing of what it carries, and it retries nothing, so that what a server does wrong is seen.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
_RECONNECT_S = 0.05
_CHANNEL = [
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class Backend:
    """One server behind the switch.

    Attributes:
        healthy: Whether it said that it is SERVING, and nothing else since.
    """

    def __init__(self, address: str) -> None:
        self.healthy = asyncio.Event()
        self.channel = grpc.aio.insecure_channel(address, options=_CHANNEL)

    async def watch(self) -> None:
        """Follows its health until cancelled."""
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for answer in health_pb2_grpc.HealthStub(self.channel).Watch(_READINESS):
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        self.healthy.set()
                    else:
                        self.healthy.clear()
            self.healthy.clear()
            await asyncio.sleep(_RECONNECT_S)


class Switch(grpc.GenericRpcHandler):
    """Carries calls. Use it as an async context manager.

    Args:
        addresses: HOST:PORT of each server.

    Attributes:
        address: Where it listens.
        backends: The servers, in that order.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.address = ""
        self.backends = [Backend(address) for address in addresses]
        self._next = 0
        self._server = grpc.aio.server()
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Switch":
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._watching = [asyncio.create_task(backend.watch()) for backend in self.backends]
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(0)
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for backend in self.backends:
            await backend.channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler for any call: on the wire a unary call is a stream of one message each way."""

        async def carry(messages: Any, context: Any) -> AsyncIterator[bytes]:
            method: Any = self._healthy_backend().channel.stream_stream(details.method)
            metadata = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
            call = method(messages, timeout=context.time_remaining(), metadata=metadata)
            try:
                async for message in call:
                    yield message
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
            finally:
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(carry)

    def _healthy_backend(self) -> Backend:
        """The next one in turn; the one after the last choice where none is healthy."""
        count = len(self.backends)
        turns = [self.backends[(self._next + turn) % count] for turn in range(count)]
        chosen = next((backend for backend in turns if backend.healthy.is_set()), turns[0])
        self._next = self.backends.index(chosen) + 1
        return chosen
