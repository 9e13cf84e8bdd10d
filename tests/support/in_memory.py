"""A server with the engine in memory, and that engine."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from support.memory_engine import MemoryEngine
from support.serving import Served


@dataclass(frozen=True, slots=True)
class InMemory:
    """A server with the engine in memory, and that engine."""

    served: Served
    engine: MemoryEngine


StartInMemory = Callable[..., Awaitable[InMemory]]
