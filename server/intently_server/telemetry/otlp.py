"""What is sent to a collector by OTLP over gRPC, within bounds: a collector that hangs or dies does no harm.

Spans wait in a queue of bounded length, and are dropped when it is full. Where no setting says otherwise the variables
of OpenTelemetry's specification apply: OTEL_EXPORTER_OTLP_*, OTEL_BSP_*, OTEL_METRIC_EXPORT_*.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import Exemplar as SentExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as SentHistogram
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from intently_server.histogram import Attributes, Exemplar, Histogram, HistogramFamily

logger = logging.getLogger(__name__)

# Encoding a span takes about 15 microseconds, in which no call goes on: a batch of the usual 512 would be felt.
_BATCH = 128
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def collector(endpoint: str | None, environment: Mapping[str, str], signal: str) -> str | None:
    """The URL to send to, by the setting or the environment; None for OpenTelemetry's default.

    A user or password in it is left out: gRPC does not send them, and the exporter logs the URL.

    Args:
        endpoint: The setting.
        environment: Variables of OpenTelemetry's specification.
        signal: "TRACES" or "METRICS".
    """
    if endpoint is not None:
        return endpoint
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if url := environment.get(name):
            if "@" not in url:
                return url
            logger.warning("%s: a user or password is not sent; send OTEL_EXPORTER_OTLP_HEADERS", name)
            scheme, separator, _ = url.rpartition("@")[0].partition("://")
            return f"{scheme if separator else 'https'}://{url.rpartition('@')[2]}"
    return None


def is_wanted(endpoint: str | None, environment: Mapping[str, str]) -> bool:
    """Whether there is a collector to send to, by the setting or the environment."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return endpoint is not None or any(environment.get(name) for name in _ENDPOINTS)


def tracer_provider(endpoint: str | None, resource: Resource, environment: Mapping[str, str]) -> TracerProvider:
    """Makes and sends all spans but those whose parents are not sampled."""
    provider = TracerProvider(ParentBased(ALWAYS_ON), resource, shutdown_on_exit=False)
    batch = None if environment.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE") else _BATCH
    exporter = OTLPSpanExporter(collector(endpoint, environment, "TRACES"))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=batch))
    return provider


def metric_reader(
    endpoint: str | None, families: Sequence[HistogramFamily], environment: Mapping[str, str]
) -> MetricReader:
    """Sends metrics every OTEL_METRIC_EXPORT_INTERVAL milliseconds, a minute if that is not set."""
    return PeriodicExportingMetricReader(_MetricExporter(collector(endpoint, environment, "METRICS"), families))


class _MetricExporter(OTLPMetricExporter):
    """Sends our histograms beside what OpenTelemetry's instruments have."""

    def __init__(self, endpoint: str | None, families: Sequence[HistogramFamily]) -> None:
        super().__init__(endpoint)
        self._families = families
        self._began_ns = time.time_ns()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        now_ns = time.time_ns()
        ours = [_metric(family, self._began_ns, now_ns) for family in self._families]
        everything = [_with(ours, each) for each in metrics_data.resource_metrics]
        return super().export(replace(metrics_data, resource_metrics=everything), timeout_millis, **kwargs)


def _with(metrics: Sequence[Metric], resource: ResourceMetrics) -> ResourceMetrics:
    def extended(scope: ScopeMetrics) -> ScopeMetrics:
        return replace(scope, metrics=[*scope.metrics, *metrics])

    return replace(resource, scope_metrics=[extended(scope) for scope in resource.scope_metrics])


def _metric(family: HistogramFamily, began_ns: int, now_ns: int) -> Metric:
    points = [_point(attributes, histogram, began_ns, now_ns) for attributes, histogram in family.members()]
    data = SentHistogram(points, AggregationTemporality.CUMULATIVE)
    return Metric(family.name, family.description, family.unit, data)


def _point(attributes: Attributes, histogram: Histogram, began_ns: int, now_ns: int) -> HistogramDataPoint:
    counts = list(histogram.counts)
    filled = [index for index, count in enumerate(counts) if count]
    edges = (0.0, *histogram.bounds, histogram.bounds[-1])
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=began_ns,
        time_unix_nano=now_ns,
        count=sum(counts),
        sum=histogram.sum,
        bucket_counts=counts,
        explicit_bounds=histogram.bounds,
        min=edges[filled[0]] if filled else 0.0,
        max=edges[filled[-1] + 1] if filled else 0.0,
        exemplars=[_exemplar(each) for each in list(histogram.exemplars.values())],
    )


def _exemplar(exemplar: Exemplar) -> SentExemplar:
    point = exemplar.point
    return SentExemplar({}, exemplar.value, round(exemplar.time_s * 1e9), point.span_id, point.trace_id)
