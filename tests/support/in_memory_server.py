"""Starts, watches and ends servers whose engine is in memory, each in a process of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from support.paced_engine import Pace
from support.paths import BUNDLE, ROOT

FAST = Pace(step_s=0.002, batch=64)
_ARENAS = "1"  # glibc gives each of gRPC's threads one, and what is free in them is soon in pieces that none returns
_START_WITHIN_S = 30.0
_END_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Inside:
    """What a server holds.

    Attributes:
        rss: Resident memory in bytes, after it has returned what was free.
        fds: File descriptors that are open.
        tasks: Tasks of its event loop.
        engine: Prompts inside the engine, waiting or running.
    """

    rss: int
    fds: int
    tasks: int
    engine: int


@dataclass(frozen=True, slots=True)
class InMemoryServer:
    """A server that is SERVING, or was.

    Attributes:
        log: What it writes to standard error.
        probe_port: Where it tells how it is inside.
    """

    process: "subprocess.Popen[bytes]"
    address: str
    log: Path
    probe_port: int

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.address.rpartition(":")
        return host, int(port)

    def inside(self) -> Inside:
        """What it holds now."""
        with socket.create_connection(("127.0.0.1", self.probe_port), timeout=30) as probe, probe.makefile() as lines:
            state = json.loads(lines.readline())
        process = psutil.Process(self.process.pid)
        return Inside(
            rss=process.memory_info().rss,
            fds=process.num_fds(),
            tasks=state["tasks"],
            engine=state["engine_running"] + state["engine_waiting"],
        )

    def rss(self) -> int:
        """Resident memory in bytes, as it is."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def errors_logged(self, since: int = 0) -> list[str]:
        """Lines of its log that tell of a fault: of ours, gRPC's, asyncio's or Python's; from that byte of it on."""
        signs = ("ERROR", "CRITICAL", "Traceback", "Fatal", "Unhandled", "never retrieved", "was never awaited")
        with self.log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if any(sign in line for sign in signs)]

    def terminate(self) -> int:
        """Stops it in order; returns its exit code."""
        self.process.terminate()
        return self.process.wait(_END_WITHIN_S)


@contextlib.contextmanager
def in_memory_server(
    folder: Path, *flags: str, pace: Pace = FAST, name: str = "server", bundle: Path = BUNDLE
) -> Iterator[InMemoryServer]:
    """Runs a server until the block ends; yields once it is SERVING.

    Args:
        folder: For its log and what it writes.
        flags: The server's own. Without --address it takes a free port; --drain-delay is 0 unless given.
        pace: Of its engine.
        name: Tells apart servers of one folder.
        bundle: What it serves.

    Raises:
        RuntimeError: if it ends before, or does not start within half a minute; the text is its log.
    """
    ready, probe, log = folder / f"{name}.ready", folder / f"{name}.probe", folder / f"{name}.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "support.in_memory_process", "--probe", str(probe)]
    command += ["--step-ms", str(pace.step_s * 1e3), "--batch", str(pace.batch), "--bundle", str(bundle)]
    command += ["--address", "127.0.0.1:0", "--drain-delay", "0", "--ready-file", str(ready), *flags]
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": _ARENAS}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        _wait_ready(process, ready, log)
        address = json.loads(ready.read_text())["address"]
        yield InMemoryServer(process, address, log, int(probe.read_text()))
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> None:
    give_up = time.monotonic() + _START_WITHIN_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(log.read_text(errors="replace"))
        time.sleep(0.02)
