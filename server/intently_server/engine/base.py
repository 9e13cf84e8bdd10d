"""The seam between the server and what computes logits: the whole interface of an engine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from intently_server.engine.engine_figures import Figures


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """The logits of one prompt.

    Attributes:
        logits: float32, shape (rows of the head,), before any activation.
        cached_tokens: Tokens of the prompt that came from the prefix cache.
    """

    logits: NDArray[np.float32]
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Requests that the engine is computing, and that it holds back.

    Attributes:
        told_at: When it said so, in monotonic seconds; now, if it is asked each time.
    """

    running: int
    waiting: int
    told_at: float = field(default=math.inf, compare=False)


class Engine(Protocol):
    """Computes logits. All methods are called from one event loop."""

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """Runs one prompt. Cancelling the call aborts the work inside the engine.

        Raises:
            EngineDead: if the engine has died, or dies meanwhile.
        """
        ...

    @property
    def alive(self) -> bool:
        """Whether the engine can still answer. Once False, False for ever."""
        ...

    def load(self) -> EngineLoad:
        """What the engine had to do when it last said so."""
        ...

    def figures(self) -> Figures:
        """What it has told of its steps, by the number of each engine core; empty if nothing is kept of them."""
        ...

    async def shutdown(self, timeout_s: float) -> None:
        """Ends the engine and all its processes, by force once `timeout_s` is over."""
        ...
