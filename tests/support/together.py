"""Starts, watches and ends servers of several front ends with a paced engine, and talks to each of their processes."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psutil
from grpc_health.v1 import health_pb2_grpc

from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.admin_caller import statusz
from support.certificates import SERVER_NAME
from support.paths import BUNDLE, ROOT
from support.shared_paced_engine import CORE, HELD

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

FRONT_ENDS = 2
ENDS_WITHIN_S = 30.0
_STARTS_WITHIN_S = 60.0
_NOT_EPHEMERAL = (18_000, 32_000)
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Together:
    """A server of several front ends, or what was one.

    Attributes:
        process: The first.
        address: What all listen on; "" before it is SERVING.
        admin: Of the first process.
        own: Where each front end listens by itself, by its place.
        log: What all write to standard error.
        folder: For temporary files of its processes, and no others.
    """

    process: "subprocess.Popen[bytes]"
    address: str
    admin: str
    own: Sequence[str]
    log: Path
    folder: Path

    def below(self) -> list[psutil.Process]:
        """All processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def core(self) -> psutil.Process:
        """The engine's."""
        [found] = [each for each in self.below() if str(CORE) in each.cmdline()]
        return found

    def front_ends(self) -> list[psutil.Process]:
        """Those that run now, in the order of their starts."""
        spawned = [each for each in self.below() if "spawn_main" in " ".join(each.cmdline())]
        return sorted(spawned, key=lambda each: each.create_time())

    async def rows(self) -> list[dict[str, Any]]:
        """What the status page tells of each front end, by its place."""
        rows: list[dict[str, Any]] = (await statusz(self.admin))["front_ends"]
        return rows

    async def at(self, place: int) -> psutil.Process:
        """The front end that has this place."""
        return psutil.Process((await self.rows())[place]["pid"])

    async def replaced(self, *dead: psutil.Process) -> None:
        """Returns once others serve in place of these; a test's own timeout bounds the wait."""
        gone = {each.pid for each in dead}
        while any(row["pid"] in gone or row["phase"] != "serving" for row in await self.rows()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        while not all(map(_listens, self.own)):  # noqa: ASYNC110  # it says that it is ready just before
            await asyncio.sleep(0.01)

    async def said(self, text: str) -> None:
        """Returns once its log has this text; a test's own timeout bounds the wait."""
        while text not in self.log.read_text(errors="replace"):  # noqa: ASYNC110  # a log tells nobody
            await asyncio.sleep(0.01)

    async def ended(self) -> int:
        """The exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, ENDS_WITHIN_S)


@contextlib.contextmanager
def together(folder: Path, *flags: str, hold: Sequence[int] = ()) -> Iterator[Together]:
    """Runs a server until the block ends; yields once it is SERVING. Kills what is left of it.

    Args:
        folder: For what it writes.
        flags: Of `support.together_process`.
        hold: Seats at which whoever takes them waits while this folder has a file of their number. With any it yields
            at once, while the server is starting, and knows no addresses but `own`.

    Raises:
        RuntimeError: if it ends before; the text is its log.
    """
    ready, log, temporary = folder / "ready.json", folder / "server.log", folder / "t"
    temporary.mkdir()
    own = own_addresses()
    port = own[0].rpartition(":")[2]
    command = [*COMMAND, "--address", "127.0.0.1:0", "--front-end-port", port, "--ready-file", str(ready), *flags]
    for seat in hold:
        (folder / str(seat)).touch()
    environment = _environment(temporary) | ({HELD: str(folder)} if hold else {})
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        give_up = time.monotonic() + _STARTS_WITHIN_S
        while not hold and not ready.exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(log.read_text(errors="replace"))
            time.sleep(0.02)
        told: dict[str, Any] = {"address": "", "admin": "", "front_ends": own}
        if ready.exists():
            told = json.loads(ready.read_text())
        yield Together(process, told["address"], told["admin"], told["front_ends"], log, temporary)
    finally:
        _end(process)


COMMAND = [sys.executable, "-m", "support.together_process", "--bundle", str(BUNDLE), "--front-ends", str(FRONT_ENDS)]


async def run_to_the_end(folder: Path, *flags: str, **variables: str) -> tuple[int, str]:
    """Runs a server that is to end by itself; its exit code, and what it has written to standard error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *flags, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment(folder) | variables
    )
    _, said = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    return process.returncode or 0, said.decode()


@contextlib.asynccontextmanager
async def connections(
    address: str, count: int = 1, authorities: bytes | None = None
) -> "AsyncIterator[list[IntentServiceAsyncStub]]":
    """Stubs, each on a connection of its own; by TLS if there are `authorities`."""
    async with contextlib.AsyncExitStack() as stack:
        channels = [_channel(address, authorities) for _ in range(count)]
        yield [IntentServiceStub(await stack.enter_async_context(channel)) for channel in channels]


@contextlib.asynccontextmanager
async def health(address: str) -> AsyncIterator[Any]:
    """A stub of the health service."""
    async with grpc.aio.insecure_channel(address, options=_OWN_CONNECTION) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def own_addresses() -> list[str]:
    """Addresses for front ends, one after the other, that were free a moment ago."""
    while True:
        first = random.randrange(*_NOT_EPHEMERAL)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + FRONT_ENDS):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return [f"127.0.0.1:{port}" for port in range(first, first + FRONT_ENDS)]


def left_of(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended in time; Python's resource tracker takes a moment to see that its process has."""
    return psutil.wait_procs(processes, timeout=ENDS_WITHIN_S)[1]


def _channel(address: str, authorities: bytes | None) -> grpc.aio.Channel:
    if authorities is None:
        return grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
    options = [*_OWN_CONNECTION, ("grpc.ssl_target_name_override", SERVER_NAME)]
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities), options=options)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _environment(temporary: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)}


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for each in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    process.wait()
