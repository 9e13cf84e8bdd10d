"""An engine in memory that is ill in one way, as a bad release is: it answers golden requests, and fails others.

Or it is forgetful: it answers golden requests as often as a server warms up with them, and wrongly from then on.
"""

import asyncio
import enum
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import Figures
from intently_server.errors import Unavailable
from intently_server.settings import Settings
from support.paced_engine import PacedEngine, PacedEngineFactory

_SLOW_S = 0.06  # unless told otherwise
_WARM_UPS = 2  # times that a server asks for each golden vector before it serves


class Illness(enum.StrEnum):
    """What a bad release does."""

    INTERNAL = "internal"  # a fault of ours
    UNAVAILABLE = "unavailable"  # what callers and proxies try again elsewhere
    SLOW = "slow"
    CRASH = "crash"  # the process ends
    HANG = "hang"  # the process stops, with its connections open
    NEVER_STARTS = "never-starts"
    FORGETFUL = "forgetful"  # it takes golden requests for others, once it serves


@dataclass(frozen=True, slots=True)
class Fault:
    """An illness, the share of requests that it strikes, and the seconds that it adds to them."""

    illness: Illness
    share: float = 1.0
    seconds: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Fault":
        """Reads KIND or KIND:SHARE; of "slow" the number is seconds."""
        kind, _, number = text.partition(":")
        if kind == Illness.SLOW:
            return cls(Illness.SLOW, seconds=float(number or _SLOW_S))
        return cls(Illness(kind), float(number or 1.0))


class FaultyEngine:
    """An `Engine` around another.

    Args:
        engine: Answers where the fault does not strike.
        golden: Prompts that it never strikes.
        fault: What is wrong.
    """

    def __init__(self, engine: PacedEngine, golden: frozenset[tuple[int, ...]], fault: Fault) -> None:
        self._engine = engine
        self._golden = golden
        self._fault = fault
        self._random = random.Random(0)
        self._asked: Counter[tuple[int, ...]] = Counter()

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        if self._fault.illness is Illness.FORGETFUL:
            self._asked[tuple(token_ids)] += 1
            if self._asked[tuple(token_ids)] > _WARM_UPS:
                return await self._engine.classify([*token_ids, *token_ids])
        elif tuple(token_ids) not in self._golden and self._random.random() < self._fault.share:
            await self._strike()
        return await self._engine.classify(token_ids)

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return self._engine.alive

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        return self._engine.load()

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        return self._engine.figures()

    async def shutdown(self, timeout_s: float) -> None:
        """See `Engine.shutdown`."""
        await self._engine.shutdown(timeout_s)

    async def _strike(self) -> None:
        match self._fault.illness:
            case Illness.INTERNAL:
                raise RuntimeError("this engine is ill")
            case Illness.UNAVAILABLE:
                raise Unavailable("this engine is ill")
            case Illness.SLOW:
                await asyncio.sleep(self._fault.seconds)
            case Illness.CRASH:
                os._exit(9)
            case Illness.HANG:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Illness.NEVER_STARTS | Illness.FORGETFUL:
                pass


class FaultyEngineFactory:
    """Starts a FaultyEngine for the bundle in a folder of that name, and a healthy one for any other."""

    def __init__(self, factory: PacedEngineFactory, bundle_name: str, fault: Fault) -> None:
        self._factory = factory
        self._bundle_name = bundle_name
        self._fault = fault

    async def __call__(self, settings: Settings, bundle: Bundle) -> "FaultyEngine | PacedEngine":
        """See `EngineFactory` in app.py."""
        engine = await self._factory(settings, bundle)
        if bundle.path.name != self._bundle_name:
            return engine
        if self._fault.illness is Illness.NEVER_STARTS:
            raise RuntimeError("this engine never starts")
        return FaultyEngine(engine, frozenset(golden.token_ids for golden in bundle.model.golden_vectors), self._fault)
