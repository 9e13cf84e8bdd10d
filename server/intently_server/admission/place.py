"""A place among the requests in flight: whose it is, what it costs, and how far the request has come."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from intently_server.types import Caller, Priority, Stages

if TYPE_CHECKING:
    from intently_server.admission.admission import Admission
    from intently_server.admission.flow import Entry

EARLY_S = 0.02  # by which the caller's clock, or the network, ends a call before the deadline as it is known here
_WEIGHTS = {Priority.HIGH: 4.0, Priority.NORMAL: 2.0, Priority.LOW: 1.0}


@dataclass(slots=True, eq=False)
class Place:
    """What `Admission.enter` gives, to be held by a `with` block.

    Attributes:
        entered: When it was given, in the clock's seconds.
        entry: In the queue, while it waits there.
        started: Done when its turn has come, if it had to wait: for a thread, or later for the engine.
        running: Whether the engine may have it.
        begun: Since when, in the clock's seconds.
    """

    admission: "Admission"
    caller: Caller
    entered: float
    cost: float = 0.0
    entry: "Entry[Place] | None" = None
    started: "asyncio.Future[None] | None" = None
    running: bool = False
    begun: float = 0.0

    @property
    def flow(self) -> str:
        """Names the flow that the request shares a part of the server with."""
        return self.caller.flow

    @property
    def granted(self) -> bool:
        """Whether the turn that it waited for has come."""
        started = self.started
        return started is not None and started.done() and not started.cancelled() and started.exception() is None

    @property
    def of_class(self) -> tuple[Priority, bool]:
        """Names the class of the flow's requests that it belongs to."""
        return (self.caller.priority, self.caller.patient)

    @property
    def weight(self) -> float:
        """Of its class."""
        return _WEIGHTS[self.caller.priority]

    def expired_in_engine(self, now: float, at_least_s: float) -> bool:
        """Whether the caller gave up at its deadline, of a request that the engine was given so long before that."""
        deadline = self.caller.deadline
        return deadline is not None and deadline - now <= EARLY_S and deadline - self.begun >= at_least_s

    async def turn(self, tokens: int, stages: Stages) -> None:
        """Waits until the engine may be given the request.

        Args:
            tokens: Of its prompt, without the prefix that all share.
            stages: Of the request; told of its place in the queue, or has that of another, which it then takes.

        Raises:
            Overloaded: if there is no room to wait, if a caller with less in flight took it, or if the wait becomes
                longer than was expected.
        """
        await self.admission.turn(self, float(max(1, tokens)), stages)

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.admission.leave(self, answered=kind is None)
