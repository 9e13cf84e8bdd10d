"""One call as the servicers see it: who asks, until when, and who watches."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from intently_server.errors import InvalidInput
from intently_server.observer import CallObserver, Metadata
from intently_server.servicer.proxy_waits import NO_WAIT, ProxyWait
from intently_server.servicer.unsent import Unsent
from intently_server.types import Caller, Priority

PRIORITY_METADATA = "x-intently-priority"
_PRIORITIES = {priority.value: priority for priority in Priority}
_ORDER = (Priority.LOW, Priority.NORMAL, Priority.HIGH)

# Who calls, where a check before the handler has found it out. gRPC runs both in one task, and each call in its own.
AUTHENTICATED: ContextVar[str] = ContextVar("AUTHENTICATED", default="")

Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


@dataclass(frozen=True, slots=True)
class Call:
    """One call under way.

    Attributes:
        context: gRPC's, for streams to write to.
        arrived: When it began, in seconds of the server's monotonic clock.
        caller: Who asks.
        observer: Who watches.
        unsent: Its answers that are not sent yet.
    """

    context: Context
    arrived: float
    caller: Caller
    observer: CallObserver
    unsent: Unsent

    def patient(self) -> Caller:
        """The caller, for requests that may wait as long as the deadline allows."""
        return replace(self.caller, patient=True)


def caller_of(
    context: Context, metadata: Metadata, now: float, max_priority: Priority, wait: ProxyWait = NO_WAIT
) -> Caller:
    """Who asks, until when. Calls of one name share a flow, whatever they come by; else those of one connection do.

    Args:
        context: Of the call.
        metadata: Of the call.
        now: In seconds of the server's monotonic clock.
        max_priority: The highest that may be claimed.
        wait: Of the call in a proxy. Those pass a deadline on as the caller named it, however long that was ago: what
            gRPC says is left is too much.

    Raises:
        InvalidInput: if the metadata claims a priority that does not exist.
    """
    told = [each for each in (context.time_remaining(), wait.left_s) if each is not None]
    remaining = min(told, default=None)
    return Caller(
        flow=AUTHENTICATED.get() or context.peer(),
        priority=_priority(metadata, max_priority),
        deadline=None if remaining is None else now + float(remaining),
        waited_s=wait.seconds,
    )


def _priority(metadata: Metadata, highest: Priority) -> Priority:
    claimed = next((value for key, value in metadata if key == PRIORITY_METADATA), None)
    if claimed is None:
        return min(Priority.NORMAL, highest, key=_ORDER.index)
    if claimed not in _PRIORITIES:
        raise InvalidInput.of(f"metadata {PRIORITY_METADATA}", f"must be one of {', '.join(_PRIORITIES)}")
    return min(_PRIORITIES[str(claimed)], highest, key=_ORDER.index)
