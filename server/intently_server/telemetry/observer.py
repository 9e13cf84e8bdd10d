"""Watches calls for telemetry: counts them, traces those that are sampled, and sends the load back with the answers."""

import time
from collections.abc import Callable

from intently_server.observer import Metadata
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.load_report import LoadReports
from intently_server.telemetry.tracing import CallTrace, Tracing
from intently_server.types import Classification, Stages

UNARY = "intently.v1.IntentService/Classify"
STREAM = "intently.v1.IntentService/ClassifyStream"


class TelemetryObserver:
    """An `Observer`.

    Args:
        figures: Where calls are counted.
        tracing: Makes spans; None for none.
        load_reports: Makes trailers; None for none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        figures: Figures,
        tracing: Tracing | None,
        load_reports: LoadReports | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.figures = figures
        self.tracing = tracing
        self.load_reports = load_reports
        self.clock = clock

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> "ObservedCall":
        """See `Observer.call`."""
        trace = None if self.tracing is None else self.tracing.call(method, metadata, connection, arrived)
        return ObservedCall(self, method, arrived, trace)


class ObservedCall:
    """A `CallObserver`."""

    __slots__ = ("_arrived", "_method", "_observer", "_trace")

    def __init__(self, observer: TelemetryObserver, method: str, arrived: float, trace: CallTrace | None) -> None:
        self._observer = observer
        self._method = method
        self._arrived = arrived
        self._trace = trace
        observer.figures.began(stream=method == STREAM)

    def classified(self, utterance: str, stages: Stages, result: Classification | BaseException) -> None:
        """See `CallObserver.classified`."""
        observer, method = self._observer, self._method
        alone = method == UNARY
        point = None if self._trace is None else self._trace.classified(utterance, stages, result, alone=alone)
        if isinstance(result, Classification):
            observer.figures.answered(method, stages, result, point)
        else:
            observer.figures.failed(method, observer.clock() - stages.arrived, result, alone=alone)

    def trailers(self) -> Metadata:
        """See `CallObserver.trailers`."""
        reports = self._observer.load_reports
        return () if reports is None else reports.trailers()

    def ended(self, status: str, error: BaseException | None) -> None:
        """See `CallObserver.ended`."""
        observer, method = self._observer, self._method
        now = observer.clock()
        point = None if self._trace is None else self._trace.ended(status, error, now)
        observer.figures.ended(method, now - self._arrived, status, error, point, stream=method == STREAM)
