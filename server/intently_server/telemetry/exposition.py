"""The text that Prometheus reads: OpenTelemetry's instruments, our histograms, and what vLLM and Python tell."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from intently_server.histogram import Attributes, Exemplar, Histogram, HistogramFamily

_UNITS = {"s": "seconds", "1": ""}


class Exposition:
    """Writes metrics in the format that is asked for.

    Args:
        registry: Where OpenTelemetry's reader is registered; the rest is added to it.
        families: Our histograms.
        others: A registry of metrics that others keep, as vLLM does.
    """

    def __init__(
        self, registry: CollectorRegistry, families: Sequence[HistogramFamily], others: CollectorRegistry
    ) -> None:
        self._registry = registry
        registry.register(_Histograms(families))
        registry.register(_Others(others))

    def show(self, collector: Collector) -> None:
        """Shows one more."""
        self._registry.register(collector)

    def write(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics, which has exemplars, where the Accept header asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Histograms(Collector):
    """Our histograms, with their exemplars. OpenTelemetry's exporter would leave those out."""

    def __init__(self, families: Sequence[HistogramFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            members = family.members()
            names = sorted({name for attributes, _ in members for name in attributes})
            metric = HistogramMetricFamily(
                _name(family.name),
                family.description,
                labels=[_name(name) for name in names],
                unit=_UNITS[family.unit],
            )
            for attributes, histogram in members:
                metric.add_metric(_values(names, attributes), _buckets(histogram), histogram.sum)
            yield metric


class _Others(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()


def _name(name: str) -> str:
    return name.replace(".", "_")


def _values(names: Sequence[str], attributes: Attributes) -> list[str]:
    return [attributes.get(name, "") for name in names]


def _buckets(histogram: Histogram) -> list[tuple[str, float] | tuple[str, float, PrometheusExemplar]]:
    rows: list[tuple[str, float] | tuple[str, float, PrometheusExemplar]] = []
    for index, (bound, count) in enumerate(histogram.cumulative()):
        exemplar = histogram.exemplars.get(index)
        rows.append((bound, count) if exemplar is None else (bound, count, _exemplar(exemplar)))
    return rows


def _exemplar(exemplar: Exemplar) -> PrometheusExemplar:
    ids = {"trace_id": f"{exemplar.point.trace_id:032x}", "span_id": f"{exemplar.point.span_id:016x}"}
    return PrometheusExemplar(ids, exemplar.value, exemplar.time_s)
