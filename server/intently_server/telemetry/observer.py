"""Watches calls for telemetry: notes what they tell, begins the traces of some, and sends load reports back."""

import logging
import time
from collections.abc import Callable

from intently_server.observer import Metadata
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.ledger import CallEntry, Ledger, UtteranceEntry
from intently_server.telemetry.load_report import LoadReports
from intently_server.telemetry.tracing import CallTrace, Tracing
from intently_server.types import Classification, Stages

logger = logging.getLogger(__name__)

UNARY = "intently.v1.IntentService/Classify"
STREAM = "intently.v1.IntentService/ClassifyStream"


class TelemetryObserver:
    """An `Observer`.

    Args:
        figures: Counts open streams.
        ledger: Where calls are noted.
        tracing: Makes spans; None for none.
        load_reports: Makes trailers; None for none.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        figures: Figures,
        ledger: Ledger,
        tracing: Tracing | None,
        load_reports: LoadReports | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.figures = figures
        self.ledger = ledger
        self.load_reports = load_reports
        self.clock = clock
        self.records_utterances = tracing is not None and tracing.record_utterances
        self._tracing = tracing

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> "ObservedCall":
        """See `Observer.call`."""
        if method == STREAM:
            self.figures.streams += 1
        trace = None if self._tracing is None else self._tracing.call(method, metadata, connection, arrived)
        return ObservedCall(self, method, arrived, trace)


class ObservedCall:
    """A `CallObserver`."""

    __slots__ = ("_arrived", "_method", "_observer", "_trace")

    def __init__(self, observer: TelemetryObserver, method: str, arrived: float, trace: CallTrace | None) -> None:
        self._observer = observer
        self._method = method
        self._arrived = arrived
        self._trace = trace

    def classified(self, utterance: str, stages: Stages, result: Classification | BaseException) -> None:
        """See `CallObserver.classified`."""
        observer, method = self._observer, self._method
        kept = utterance if observer.records_utterances else None
        observer.ledger.classified(
            UtteranceEntry(method, method == UNARY, stages, result, observer.clock(), self._trace, kept)
        )

    def trailers(self) -> Metadata:
        """See `CallObserver.trailers`."""
        reports = self._observer.load_reports
        return () if reports is None else reports.trailers()

    def ended(self, status: str, error: BaseException | None) -> None:
        """See `CallObserver.ended`."""
        observer, method = self._observer, self._method
        if method == STREAM:
            observer.figures.streams -= 1
        observer.ledger.ended(CallEntry(method, self._arrived, observer.clock(), status, error, self._trace))
