"""Runs the whole server inside the test's event loop, on a real socket."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently.v1.model_service_pb2_grpc import ModelServiceStub
from intently_server.app import EngineFactory, serve
from intently_server.bundle import Bundle
from intently_server.drain import StopSignal
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub
    from intently.v1.model_service_pb2_grpc import ModelServiceAsyncStub

_NOT_EPHEMERAL = (18_000, 32_000)
_LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True)
class Served:
    """A server under test, and stubs on one connection to it."""

    address: str
    channel: grpc.aio.Channel
    intents: "IntentServiceAsyncStub"
    models: "ModelServiceAsyncStub"
    health: Any
    stop: StopSignal
    stream_ages: StreamAges
    exit_code: "asyncio.Future[int]"


@contextlib.asynccontextmanager
async def connected(
    address: str, stop: StopSignal, stream_ages: StreamAges, exit_code: "asyncio.Future[int]"
) -> AsyncIterator[Served]:
    """Stubs for a server that is, or will be, at this address."""
    async with grpc.aio.insecure_channel(address, options=_LARGE) as channel:
        yield Served(
            address=address,
            channel=channel,
            intents=IntentServiceStub(channel),
            models=ModelServiceStub(channel),
            health=health_pb2_grpc.HealthStub(channel),
            stop=stop,
            stream_ages=stream_ages,
            exit_code=exit_code,
        )


@contextlib.asynccontextmanager
async def serving(bundle: Path, start_engine: EngineFactory, **settings: Any) -> AsyncIterator[Served]:
    """Serves until the block ends; yields once the server is SERVING.

    With `address` among the settings it yields at once, while the server is still starting.
    """
    stop, ages, ready = StopSignal(), StreamAges(), asyncio.get_running_loop().create_future()
    all_settings = Settings(**{"bundle": bundle, "address": "127.0.0.1:0", "drain_delay": 0.0, **settings})

    def tell(address: str, _: Bundle) -> None:
        ready.set_result(address)

    task = asyncio.ensure_future(serve(all_settings, start_engine, on_ready=tell, stop=stop, stream_ages=ages))
    try:
        if "address" not in settings:
            await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        address: str = settings.get("address") or ready.result()
        async with connected(address, stop, ages, task) as served:
            yield served
    finally:
        stop.set()
        await task


def free_addresses(count: int) -> list[str]:
    """So many of them, each another."""
    found: set[str] = set()
    while len(found) < count:
        found.add(free_address())
    return list(found)


def free_ports(count: int) -> int:
    """The first of so many ports in a row that were free on loopback a moment ago."""
    while True:
        first = random.randrange(*_NOT_EPHEMERAL)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def free_address() -> str:
    """A loopback address that was free a moment ago, of a port that the system gives no outgoing connection."""
    while True:
        address = ("127.0.0.1", random.randrange(*_NOT_EPHEMERAL))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(address)
            return f"{address[0]}:{address[1]}"
