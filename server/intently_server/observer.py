"""The seam to whoever watches calls: telemetry, load reports, the status page."""

from collections.abc import Sequence
from typing import Protocol

from intently_server.types import Classification, Stages

Metadata = Sequence[tuple[str, str | bytes]]


class CallObserver(Protocol):
    """Watches one call, from the task that answers it."""

    def classified(self, utterance: str, stages: Stages, result: Classification | BaseException) -> None:
        """One utterance was answered or failed: the call's own, one of its batch, or an item of its stream.

        Args:
            utterance: What was said. It must not be kept, unless the operator asked for that.
            stages: How far it came, and when.
            result: The answer; or why there is none: an IntentlyError, also for an item that was withdrawn or refused;
                CancelledError for what is cut off with its call, whose end says why; or a fault of ours.
        """
        ...

    def trailers(self) -> Metadata:
        """Trailing metadata to send with the answer; asked for once, before `ended`."""
        ...

    def ended(self, status: str, error: BaseException | None) -> None:
        """The call is over.

        Args:
            status: Name of the gRPC status code, such as "OK", as the caller sees it; "CANCELLED" also where the caller
                went away.
            error: What ended it early, if anything did.
        """
        ...


class Observer(Protocol):
    """Watches calls."""

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> CallObserver:
        """A call begins.

        Args:
            method: Full name, such as "intently.v1.IntentService/Classify".
            metadata: What the caller sent beside the request.
            connection: Names the connection.
            arrived: When, in seconds of the monotonic clock that its stages are told in.
        """
        ...

    def refused(self, method: str, status: str, error: BaseException) -> None:
        """A call was refused before it began, for who makes it; `call` is not told of it.

        Args:
            method: As in `call`.
            status: As in `CallObserver.ended`.
            error: Why.
        """
        ...


class Unobserved:
    """Nobody watches: both an observer and its calls."""

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> "Unobserved":  # noqa: ARG002
        """See `Observer.call`."""
        return self

    def refused(self, method: str, status: str, error: BaseException) -> None:
        """See `Observer.refused`."""

    def classified(self, utterance: str, stages: Stages, result: Classification | BaseException) -> None:
        """See `CallObserver.classified`."""

    def trailers(self) -> Metadata:
        """See `CallObserver.trailers`."""
        return ()

    def ended(self, status: str, error: BaseException | None) -> None:
        """See `CallObserver.ended`."""
