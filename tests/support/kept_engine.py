"""Starts the real engine as the server does, and keeps it where a test can look at its load."""

import asyncio
from dataclasses import dataclass

from intently_server.bundle import Bundle
from intently_server.engine.base import Engine, EngineLoad
from intently_server.settings import Settings
from intently_server.with_vllm import start_vllm
from support.serving import Served

IDLE = EngineLoad(running=0, waiting=0)


@dataclass(frozen=True, slots=True)
class Real:
    """A server with the real engine, and that engine.

    Attributes:
        step_tokens: Tokens of one engine step; a longer prompt is prefilled in chunks.
    """

    served: Served
    engine: Engine
    step_tokens: int


class KeptEngineFactory:
    """An `EngineFactory` that starts vLLM."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    async def __call__(self, settings: Settings, bundle: Bundle) -> Engine:
        """See `EngineFactory` in app.py."""
        self._engine = await start_vllm(settings, bundle)
        return self._engine

    @property
    def engine(self) -> Engine:
        """The engine, once it was started."""
        assert self._engine is not None, "the engine was not started"
        return self._engine


async def wait_busy(engine: Engine) -> None:
    """Returns once the engine says that it has something to do; a test's own timeout bounds the wait."""
    while engine.load() == IDLE:  # noqa: ASYNC110  # an engine tells nobody, it has to be asked
        await asyncio.sleep(0.005)


async def wait_idle(engine: Engine) -> None:
    """Returns once the engine says that it has nothing to do."""
    while engine.load() != IDLE:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.005)
