"""An engine in memory that is as fast as it is told to be: what overload, drain and soak tests run against."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import Figures
from intently_server.settings import Settings
from support.memory_engine import Logits, logits_for, scattered_logits


@dataclass(frozen=True, slots=True)
class Pace:
    """A step takes `step_s` seconds and at most `batch` prompts, in the order in which they came."""

    step_s: float
    batch: int


class PacedEngine:
    """Answers at a pace. It keeps nothing of what it answered.

    Args:
        labels: Rows of the head.
        known: Logits of some prompts: the bundle's golden vectors.
        pace: Its speed.
    """

    def __init__(self, labels: int, known: Mapping[tuple[int, ...], Logits], pace: Pace) -> None:
        self._labels = labels
        self._known = known
        self._pace = pace
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._computing = 0
        self._work = asyncio.Event()
        self._steps = asyncio.ensure_future(self._run())

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._work.set()
        try:
            await done
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # it is in a step
                self._waiting.remove(done)
            raise
        known = self._known.get(tuple(token_ids))
        return EngineOutput(scattered_logits(token_ids, self._labels) if known is None else known, cached_tokens=0)

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return not self._steps.done()

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        return EngineLoad(self._computing, len(self._waiting))

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        return {}

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002
        """See `Engine.shutdown`."""
        self._steps.cancel()

    async def _run(self) -> None:
        while True:
            self._work.clear()
            while self._waiting:
                await self._step()
            await self._work.wait()

    async def _step(self) -> None:
        step = [self._waiting.popleft() for _ in range(min(self._pace.batch, len(self._waiting)))]
        self._computing = len(step)
        await asyncio.sleep(self._pace.step_s)
        self._computing = 0
        for done in step:
            if not done.done():
                done.set_result(None)


class PacedEngineFactory:
    """Starts a PacedEngine that knows the bundle's golden vectors, and keeps it in `engine`."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.engine: PacedEngine | None = None

    async def __call__(self, settings: Settings, bundle: Bundle) -> PacedEngine:  # noqa: ARG002
        """See `EngineFactory` in app.py."""
        model = bundle.model
        known = {
            golden.token_ids: logits_for(golden.probabilities, model.calibration.temperature)
            for golden in model.golden_vectors
        }
        self.engine = PacedEngine(model.labels, known, self._pace)
        return self.engine
