"""Envoy in front of two servers with the engine in memory, one of which may be ill; and calls through it."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color, Weights
from intently_release.config import ReleaseConfig
from intently_release.judge.figures import Figures, read_figures
from intently_release.proxy.admin import EnvoyAdmin
from support.envoy_process import EnvoyProcess, run_folder, running_envoy
from support.in_memory_server import FAST, InMemoryServer, in_memory_server
from support.paced_engine import Pace
from support.paths import BUNDLE
from support.serving import free_address

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

HELLO = pb.ClassifyRequest(text="hello")
_AT_ONCE = 8
_POLL_S = 0.05
_PATIENT = {"timeout": 5.0}  # a health check: the machine that runs the tests may be busy


@dataclass(frozen=True, slots=True)
class JudgedColors:
    """Both colors are healthy, to Envoy too, or were."""

    envoy: EnvoyProcess
    servers: Mapping[Color, InMemoryServer]


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls through Envoy, and asks what it counted."""

    intents: "IntentServiceAsyncStub"
    admin: EnvoyAdmin

    async def call(self, calls: int, request: pb.ClassifyRequest = HELLO) -> Counter[grpc.StatusCode]:
        """Makes so many single calls, a few at once; returns how they ended."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one() -> grpc.StatusCode:
            async with turns:
                return await ended(self.intents.Classify(request, timeout=20))

        return Counter(await asyncio.gather(*(one() for _ in range(calls))))

    async def figures(self, color: Color) -> Figures:
        """One color's, which must be there."""
        return (await read_figures(self.admin))[color]

    async def both(self) -> dict[Color, Figures]:
        """Both colors', which must be there."""
        return dict(await read_figures(self.admin))

    async def until(self, color: Color, reached: Callable[[Figures], bool]) -> Figures:
        """One color's, once they are so; a test's own timeout bounds the wait."""
        while not reached(figures := await self.figures(color)):  # noqa: ASYNC110  # Envoy is asked
            await asyncio.sleep(_POLL_S)
        return figures

    async def settled(self) -> dict[Color, Figures]:
        """Both colors', once all latencies are in and their servers are idle."""
        for color in Color:
            await self.until(color, lambda each: not each.active and each.latency.count >= each.singles)
        return await self.both()


async def ended(call: Any) -> grpc.StatusCode:
    """How a call ended."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@contextlib.contextmanager
def judged_colors(
    weights: Weights,
    flags: Mapping[Color, Sequence[str]] = {},
    pace: Pace = FAST,
    **traffic: Any,
) -> Iterator[JudgedColors]:
    """Runs all three until the block ends.

    Args:
        weights: Of the routes.
        flags: Of a color's server.
        pace: Of both engines.
        traffic: Fields of `Traffic`.
    """
    with run_folder() as folder, contextlib.ExitStack() as stack:

        def start(color: Color) -> InMemoryServer:
            return stack.enter_context(in_memory_server(folder, *flags.get(color, ()), pace=pace, name=color))

        with ThreadPoolExecutor(len(Color)) as side_by_side:  # the warm-up of a slow engine takes seconds
            servers = dict(zip(Color, side_by_side.map(start, Color), strict=True))
        config = _configured(folder, servers, traffic)
        envoy = stack.enter_context(running_envoy(config, folder / "run", weights))
        envoy.wait_healthy(*Color)
        yield JudgedColors(envoy, servers)


@contextlib.asynccontextmanager
async def calling(envoy: EnvoyProcess) -> AsyncIterator[Caller]:
    """Connects to it."""
    async with grpc.aio.insecure_channel(envoy.address) as channel, EnvoyAdmin(envoy.layout.admin_socket) as admin:
        yield Caller(IntentServiceStub(channel), admin)


@contextlib.contextmanager
def stopped(server: InMemoryServer) -> Iterator[None]:
    """It hangs, with its connections open, until the block ends."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def ill(kind: str) -> tuple[str, ...]:
    """Flags of a server whose engine is ill in this way."""
    return ("--fault", kind, "--faulty-bundle", BUNDLE.name)


def _configured(folder: Path, servers: Mapping[Color, InMemoryServer], traffic: Mapping[str, Any]) -> ReleaseConfig:
    return ReleaseConfig.model_validate(
        {
            "run_dir": folder / "run",
            "metrics": None,
            "listener": {"address": free_address()},
            "colors": {color: {"endpoints": [server.address]} for color, server in servers.items()},
            "traffic": {"health": _PATIENT, **traffic},
        }
    )
