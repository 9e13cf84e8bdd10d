"""Watches calls for telemetry: notes what they tell, begins the traces of some, and sends load reports back."""

import time
from collections.abc import Callable

from intently_server.observer import Metadata
from intently_server.telemetry.figures import STREAM, Figures
from intently_server.telemetry.ledger import CallRecord, Ledger, UtteranceEntry, bare
from intently_server.telemetry.load_report import LoadReports
from intently_server.telemetry.spans import CallTrace
from intently_server.telemetry.tracing import Tracing
from intently_server.types import Classification, Stages


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
        trace = None if self._tracing is None else self._tracing.call(method, metadata, connection, arrived)
        if method == STREAM:
            self.figures.streams += 1
        return ObservedCall(self, method, arrived, trace)

    def refused(self, method: str, status: str, error: BaseException) -> None:
        """See `Observer.refused`. There is no span: whoever is not known here shall not cause the work for one."""
        call = CallRecord(method, self.clock(), None)
        call.status, call.error = status, bare(error)
        self.ledger.ended(call)


class ObservedCall(CallRecord):
    """A `CallObserver`, which is its own record."""

    __slots__ = ("_observer",)

    def __init__(self, observer: TelemetryObserver, method: str, arrived: float, trace: CallTrace | None) -> None:
        super().__init__(method, arrived, trace)
        self._observer = observer

    def classified(self, utterance: str, stages: Stages, result: Classification | BaseException) -> None:
        """See `CallObserver.classified`."""
        observer = self._observer
        if isinstance(result, BaseException):
            result = bare(result)
        entry = UtteranceEntry(stages, result, observer.clock(), utterance if observer.records_utterances else None)
        if self.method == STREAM:
            observer.ledger.classified(self, entry)
        else:
            self.utterances.append(entry)

    def trailers(self) -> Metadata:
        """See `CallObserver.trailers`."""
        reports = self._observer.load_reports
        return () if reports is None else reports.trailers()

    def ended(self, status: str, error: BaseException | None) -> None:
        """See `CallObserver.ended`."""
        observer = self._observer
        if self.method == STREAM:
            observer.figures.streams -= 1
        self.ended_at = observer.clock()
        self.status = status
        self.error = None if error is None else bare(error)
        observer.ledger.ended(self)
