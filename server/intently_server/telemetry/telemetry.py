"""Telemetry of one server, put together from its settings."""

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from prometheus_client import REGISTRY, CollectorRegistry

from intently_server.model import Model
from intently_server.observer import Observer, Unobserved
from intently_server.settings import Settings
from intently_server.telemetry import otlp
from intently_server.telemetry.exposition import Exposition
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.instruments import Instruments
from intently_server.telemetry.ledger import Ledger
from intently_server.telemetry.load_report import LoadReports
from intently_server.telemetry.observer import TelemetryObserver
from intently_server.telemetry.trace_context import LogContext
from intently_server.telemetry.tracing import Tracing
from intently_server.telemetry.vitals import Vitals
from intently_server.telemetry.window import Window

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

logger = logging.getLogger(__name__)

SCOPE = "intently_server"
_SNAPSHOT_S = 5
_CLOSE_S = 2.0  # what a collector may take for the last of it


class Telemetry:
    """Telemetry of one server.

    Args:
        settings: What is wanted.
        model: What is served.
        vitals: What the server has to do.
        environment: Variables of OpenTelemetry's specification.
        watches: Whether there are calls here to watch.
        exports: Whether it is told from here what is counted. Of several front ends each watches, and the process that
            adds up what they have counted exports.

    Attributes:
        observer: Watches calls; does nothing where nothing is wanted.
        figures: What was counted.
        vitals: As given.
        ledger: Where calls are noted; to be settled before the figures are read.
        window: What happened in the last minute.
        exposition: Writes /metrics; None where that is off.
        version: Of the server.
    """

    def __init__(
        self,
        settings: Settings,
        model: Model,
        vitals: Vitals,
        environment: Mapping[str, str],
        *,
        watches: bool = True,
        exports: bool = True,
    ) -> None:
        self.figures = Figures(model)
        self.vitals = vitals
        self.ledger = Ledger(self.figures)
        self.window = Window(self.figures)
        self.version = version("intently")
        self.observer: Observer = Unobserved()
        self.exposition: Exposition | None = None
        self._closers: list[Callable[[], object]] = []
        self._keeping: asyncio.Task[None] | None = None
        sends = otlp.is_wanted(settings.otlp_endpoint, environment)
        self._keeps = sends or bool(settings.admin_address) or settings.load_reports
        if exports:
            self._metrics(settings, model, environment, sends=sends)
        if watches and self._keeps:
            tracing = self._tracing(settings, model, environment) if sends else None
            self.observer = TelemetryObserver(self.figures, self.ledger, tracing, self._load_reports(settings))
        if watches and settings.log_format == "json":
            self.observer = LogContext(self.observer)

    def start(self) -> None:
        """Begins to settle what calls told, and to remember the last minute."""
        if self._keeps:
            self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Sends what is still to be sent, in two seconds at most."""
        if self._keeping is not None:
            self._keeping.cancel()
        self.ledger.settle()
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def close_all() -> None:
            for close in self._closers:
                close()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        if not self._closers:
            return
        # A thread of its own, for which nobody waits at the end of the process.
        threading.Thread(target=close_all, name="telemetry-close", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), _CLOSE_S)
        except TimeoutError:
            logger.warning("the collector did not take the last traces or metrics in %g s; they are lost", _CLOSE_S)

    async def _keep(self) -> None:
        while True:
            for _ in range(_SNAPSHOT_S):
                await asyncio.sleep(1.0)
                self.ledger.settle()
            self.window.remember()

    def _load_reports(self, settings: Settings) -> LoadReports | None:
        if not settings.load_reports:
            return None
        return LoadReports(self.figures, self.ledger, self.vitals, settings.front_ends)

    def _tracing(self, settings: Settings, model: Model, environment: Mapping[str, str]) -> Tracing:
        resource = _resource(self.version)
        if settings.record_utterances:
            logger.warning("traces contain what users say: --record-utterances is on")
            resource = resource.merge(Resource({"intently.contains_utterances": True}))
        provider = otlp.tracer_provider(settings.otlp_endpoint, resource, environment)
        self._closers.append(provider.shutdown)
        tracer = provider.get_tracer(SCOPE, self.version)
        return Tracing(
            tracer,
            model,
            settings.address,
            sample_ratio=settings.trace_sample_ratio,
            record_utterances=settings.record_utterances,
        )

    def _metrics(self, settings: Settings, model: Model, environment: Mapping[str, str], *, sends: bool) -> None:
        readers: list[MetricReader] = []
        if settings.metrics and settings.admin_address:
            registry = CollectorRegistry()
            readers.append(PrometheusMetricReader(registry=registry, scope_info_enabled=False))
            self.exposition = Exposition(registry, self.figures.histograms(), REGISTRY)
        if settings.otlp_metrics and sends:
            readers.append(otlp.metric_reader(settings.otlp_endpoint, self.figures.histograms(), environment))
        if not readers:
            return
        provider = MeterProvider(readers, _resource(self.version), shutdown_on_exit=False)
        self._closers.append(provider.shutdown)
        Instruments(provider.get_meter(SCOPE, self.version), self.figures, self.vitals, model, self.version)


def _resource(server_version: str) -> Resource:
    """Who tells all this: by default an instance of intently-server; the environment may say otherwise, and more."""
    own = {
        "service.name": "intently-server",
        "service.version": server_version,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())
