"""An engine in memory behind the server's Engine interface: for tests of timing, faults and traffic."""

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import Figures
from intently_server.errors import EngineDead
from intently_server.settings import Settings

Logits = NDArray[np.float32]


class MemoryEngine:
    """Answers from a function; can be held, broken and killed.

    Args:
        labels: Rows of the head.
        known: Logits of some prompts, which come before the function: the bundle's golden vectors.
    """

    def __init__(self, labels: int, known: Mapping[tuple[int, ...], Logits]) -> None:
        self._known = known
        self._gate = asyncio.Event()
        self._gate.set()
        self._held: tuple[int, ...] | None = None
        self._death = asyncio.Event()
        self._running = 0
        self.answer: Callable[[Sequence[int]], Logits] = lambda ids: scattered_logits(ids, labels)
        self.fault: Exception | None = None
        self.prompts: list[tuple[int, ...]] = []  # every prompt that came, in order
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.shut_down = False

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        self.prompts.append(tuple(token_ids))
        self._running += 1
        try:
            if self._held is None or self._held == tuple(token_ids):
                await self._pass_the_gate()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._running -= 1
        if self.fault is not None:
            raise self.fault
        known = self._known.get(tuple(token_ids))
        return EngineOutput(self.answer(token_ids) if known is None else known, cached_tokens=0)

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return not self._death.is_set()

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        return EngineLoad(self._running, 0)

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        return {}

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002
        """See `Engine.shutdown`."""
        await self.may_end.wait()
        self.shut_down = True

    def hold(self) -> None:
        """From now on prompts wait inside the engine."""
        self._held = None
        self._gate.clear()

    def hold_only(self, prompt: tuple[int, ...]) -> None:
        """From now on this prompt waits inside the engine, and no other."""
        self._held = prompt
        self._gate.clear()

    def release(self) -> None:
        """Lets those that wait, and those to come, through."""
        self._gate.set()

    def die(self) -> None:
        """Ends the engine: prompts inside and to come get EngineDead."""
        self._death.set()

    async def wait_running(self, count: int) -> None:
        """Returns once exactly `count` prompts are inside; a test's own timeout bounds the wait."""
        while self._running != count:  # noqa: ASYNC110  # polled, so that the engine stays as simple as its interface
            await asyncio.sleep(0.005)

    async def _pass_the_gate(self) -> None:
        gate, death = asyncio.ensure_future(self._gate.wait()), asyncio.ensure_future(self._death.wait())
        try:
            await asyncio.wait([gate, death], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gate.cancel()
            death.cancel()
        if self._death.is_set():
            raise EngineDead("the engine has died")


def scattered_logits(token_ids: Sequence[int], labels: int) -> Logits:
    """Logits that depend on the prompt alone and are the same on every run."""
    seed = zlib.crc32(np.asarray(token_ids, dtype=np.int64).tobytes())
    return np.random.default_rng(seed).normal(0.0, 3.0, labels).astype(np.float32)


def logits_for(probabilities: Sequence[float], temperature: float) -> Logits:
    """Logits that give these probabilities at that temperature."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-30, None)
    return np.asarray(np.log(clipped) * temperature, dtype=np.float32)


class MemoryEngineFactory:
    """Starts one MemoryEngine, which knows the bundle's golden vectors, and keeps it in `engine`."""

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.may_start.set()
        self._engine: MemoryEngine | None = None

    async def __call__(self, settings: Settings, bundle: Bundle) -> MemoryEngine:  # noqa: ARG002
        """See `EngineFactory` in app.py."""
        await self.may_start.wait()
        model = bundle.model
        known = {
            golden.token_ids: logits_for(golden.probabilities, model.calibration.temperature)
            for golden in model.golden_vectors
        }
        self._engine = MemoryEngine(model.labels, known)
        return self._engine

    @property
    def engine(self) -> MemoryEngine:
        """The engine, once it was started."""
        assert self._engine is not None, "the engine was not started"
        return self._engine
