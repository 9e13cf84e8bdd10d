"""A paced engine that several front ends share: what they do with vLLM's can be tested without that.

As with vLLM's, the core is a process of its own, a seat serves once, whoever sits down waits for the core's first word,
a client whose core was killed does not notice, and after a step the core tells one seat alone how it stands.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import EngineFigures, Figures
from intently_server.engine.process_guard import ProcessGuard
from intently_server.engine.seat import Seat
from intently_server.errors import EngineDead
from intently_server.front_ends import SharedEngine
from intently_server.settings import Settings
from support.memory_engine import Logits, logits_for, scattered_logits
from support.paced_engine import Pace

CORE = Path(__file__).with_name("paced_core.py")
HELD = "TESTS_HELD_SEATS"
"""Names a folder. While it has a file N, whoever takes that seat waits, and says so by a file N.waits."""


def shared_paced_engine(pace: Pace) -> SharedEngine:
    """An engine of that pace, for `serve_together`."""
    return SharedEngine(partial(launch, pace), prepare, attach)


class PacedCore:
    """The core, as the first process has it. See `Core`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def alive(self) -> bool:
        """See `Core.alive`."""
        return self._process.poll() is None

    def leave(self, seat: Seat) -> None:
        """See `Core.leave`."""

    async def tell_of_death(self, seats: Sequence[Seat]) -> None:
        """See `Core.tell_of_death`."""
        for seat in seats:
            with contextlib.suppress(OSError):  # whoever sat there has gone
                _, word = await asyncio.open_unix_connection(_path(seat.output_address))
                word.write(b"dead\n")
                await word.drain()
                word.close()

    async def shutdown(self, timeout_s: float) -> None:
        """See `Core.shutdown`."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait, timeout_s)


async def launch(
    pace: Pace, _settings: Settings, _bundle: Bundle, seats: Sequence[Seat], guard: ProcessGuard
) -> PacedCore:
    """See `Launch`."""
    paths = [_path(seat.input_address) for seat in seats]
    # Inherited, as by vLLM's processes.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    try:
        with guard.marking():
            process = _start(pace, paths)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return PacedCore(process)


def _start(pace: Pace, paths: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-I", "-S", CORE, f"{pace.step_s}", f"{pace.batch}", *paths])


def prepare(settings: Settings) -> None:
    """See `Prepare`: there is nothing to import."""


async def attach(_settings: Settings, bundle: Bundle, seat: Seat) -> "SeatedEngine":
    """See `Attach`."""
    held = Path(os.environ[HELD], str(seat.index)) if HELD in os.environ else None
    while held is not None and held.exists():
        held.with_suffix(".waits").touch()
        await asyncio.sleep(0.01)
    model = bundle.model
    known = {
        golden.token_ids: logits_for(golden.probabilities, model.calibration.temperature)
        for golden in model.golden_vectors
    }
    engine = SeatedEngine(model.labels, known)
    await engine.sit_down(seat)
    return engine


class SeatedEngine:
    """An engine in another process, asked from a seat.

    Args:
        labels: Rows of the head.
        known: Logits of some prompts: the bundle's golden vectors.
    """

    def __init__(self, labels: int, known: Mapping[tuple[int, ...], Logits]) -> None:
        self._labels = labels
        self._known = known
        self._numbers = itertools.count()
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._figures = EngineFigures()
        self._core: asyncio.StreamWriter | None = None
        self._came = asyncio.Event()
        self._dead = False
        self._servers: list[asyncio.Server] = []

    async def sit_down(self, seat: Seat) -> None:
        """Returns once the core has said its first word."""
        self._servers = [
            await asyncio.start_unix_server(self._hear_core, _path(seat.input_address)),
            await asyncio.start_unix_server(self._hear_of_death, _path(seat.output_address)),
        ]
        await self._came.wait()

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        if self._dead:
            raise EngineDead("the engine has died")
        number, done = str(next(self._numbers)), asyncio.get_running_loop().create_future()
        self._asked[number] = done
        self._write(number)
        try:
            await done
        except asyncio.CancelledError:
            self._write(f"-{number}")
            raise
        finally:
            del self._asked[number]
        self._figures.prompt_tokens += len(token_ids)
        self._figures.finished["stop"] += 1
        known = self._known.get(tuple(token_ids))
        return EngineOutput(scattered_logits(token_ids, self._labels) if known is None else known, cached_tokens=0)

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return not self._dead

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        told = self._figures
        return EngineLoad(told.running, told.waiting, told.told_at)

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        return {0: self._figures}

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002
        """See `Engine.shutdown`. The core goes on."""
        for server in self._servers:
            server.close()
        if self._core is not None:
            self._core.close()
            with contextlib.suppress(OSError):
                await self._core.wait_closed()

    def _write(self, line: str) -> None:
        if self._core is not None:
            self._core.write(f"{line}\n".encode())

    async def _hear_core(self, lines: asyncio.StreamReader, core: asyncio.StreamWriter) -> None:
        self._core = core
        while line := (await lines.readline()).decode().strip():
            if line == "ready":
                self._came.set()
            elif line.startswith("="):
                self._figures.running, self._figures.waiting = map(int, line[1:].split())
                self._figures.told_at = time.monotonic()
            elif line in self._asked and not self._asked[line].done():
                self._asked[line].set_result(None)

    async def _hear_of_death(self, lines: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        if await lines.readline():
            self._dead = True
            for done in self._asked.values():
                if not done.done():
                    done.set_exception(EngineDead("the engine has died"))


def _path(address: str) -> str:
    return address.removeprefix("ipc://")
