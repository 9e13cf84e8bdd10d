"""The seam between front ends and the engine that they share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from intently_server.bundle import Bundle
from intently_server.engine.base import Engine
from intently_server.engine.process_guard import ProcessGuard
from intently_server.engine.seat import Seat
from intently_server.settings import Settings


class Core(Protocol):
    """An engine that front ends share, started by the first process. All methods are called from its event loop."""

    @property
    def alive(self) -> bool:
        """Whether it can still answer. Once False, False for ever."""
        ...

    def leave(self, seat: Seat) -> None:
        """Whoever sat there has died."""
        ...

    async def tell_of_death(self, seats: Sequence[Seat]) -> None:
        """Says to those who sit there that it has died: one that was killed cannot say so itself."""
        ...

    async def shutdown(self, timeout_s: float) -> None:
        """Ends the engine and all its processes, by force once `timeout_s` is over."""
        ...


Launch = Callable[[Settings, Bundle, Sequence[Seat], ProcessGuard], Awaitable[Core]]
"""Starts the engine, to be asked from those seats. Its processes are started under the guard's mark."""

Prepare = Callable[[Settings], None]
"""Imports what attaching takes, while the engine starts."""

Attach = Callable[[Settings, Bundle, Seat], Awaitable[Engine]]
"""Takes a seat at the engine, once that has started."""


@dataclass(frozen=True, slots=True)
class SharedEngine:
    """How an engine that front ends share is started and reached.

    Attributes:
        launch: Called in the first process.
        prepare: Called in each front end, in a thread. A function that can be imported, as `attach` is.
        attach: Called in each front end.
    """

    launch: Launch
    prepare: Prepare
    attach: Attach
