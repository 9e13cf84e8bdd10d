"""vLLM's own metrics, those that tell of a classifier, under vLLM's names, kept in plain numbers.

vLLM's logger for Prometheus records 13 histograms for each request and sets 20 other metrics for each step of the
engine, at 0.6 µs or more each: of a small model's calls that takes 4 %. Most of it says nothing of requests that
generate no tokens. Steps are noted here and counted many at once, as calls are in `telemetry/ledger.py`.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from intently_server.engine.engine_figures import EngineFigures, EngineStep, Figures

if TYPE_CHECKING:
    from intently_server.histogram import Histogram

logger = logging.getLogger(__name__)

_MOST = 64  # steps; counting them takes a fraction of a millisecond


class VllmMetrics(Collector):
    """Counts what vLLM tells of each step of its engines, and shows it to Prometheus.

    Args:
        model: Name of what is served.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._noted: deque[EngineStep] = deque()
        self._engines: dict[int, EngineFigures] = {}
        self._lock = threading.Lock()  # Prometheus collects in a thread of its own

    def note(self, step: EngineStep) -> None:
        """Notes a step, which is counted later."""
        self._noted.append(step)
        if len(self._noted) >= _MOST:
            self._settle()

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        self._settle()
        with self._lock:
            metrics = list(shown(self._model, self._engines))
        yield from metrics

    def figures(self) -> Figures:
        """What each engine has told so far, to be read before this one notes more."""
        self._settle()
        return self._engines

    def _settle(self) -> None:
        """Counts all that was noted. A fault in that is logged: vLLM would end for it."""
        with self._lock:
            for _ in range(len(self._noted)):
                step = self._noted.popleft()
                figures = self._engines.setdefault(step.engine, EngineFigures())
                try:
                    figures.count(step)
                except Exception:
                    logger.exception("a step of the engine could not be counted")


def shown(model: str, engines: Figures) -> Iterator[Metric]:
    """What Prometheus reads of them, under vLLM's names and labels."""
    labels = [((model, str(number)), figures) for number, figures in sorted(engines.items())]
    yield from _gauges(labels)
    yield from _counters(labels)
    yield from _histograms(labels)


_Labelled = Sequence[tuple[tuple[str, str], EngineFigures]]
_LABELS = ("model_name", "engine")


def _gauges(labelled: _Labelled) -> Iterator[Metric]:
    for name, description, field in (
        ("num_requests_running", "Requests that the engine computes.", "running"),
        ("num_requests_waiting", "Requests that the engine holds back.", "waiting"),
        ("kv_cache_usage_perc", "Share of the KV cache that is in use, 0 to 1.", "cache_usage"),
    ):
        gauge = GaugeMetricFamily(f"vllm:{name}", description, labels=_LABELS)
        for labels, figures in labelled:
            gauge.add_metric(labels, getattr(figures, field))
        yield gauge


def _counters(labelled: _Labelled) -> Iterator[Metric]:
    for name, description, field in (
        ("prefix_cache_queries", "Tokens that were looked up in the prefix cache.", "cache_queries"),
        ("prefix_cache_hits", "Those of them that it had.", "cache_hits"),
        ("num_preemptions", "Requests that had to give way to others.", "preemptions"),
        ("prompt_tokens", "Tokens of prompts, cached ones included.", "prompt_tokens"),
        ("prompt_tokens_cached", "Tokens of prompts that were not computed again.", "cached_tokens"),
    ):
        counter = CounterMetricFamily(f"vllm:{name}", description, labels=_LABELS)
        for labels, figures in labelled:
            counter.add_metric(labels, getattr(figures, field))
        yield counter
    finished = CounterMetricFamily(
        "vllm:request_success", "Requests that ended, by reason.", labels=[*_LABELS, "finished_reason"]
    )
    for labels, figures in labelled:
        for reason, count in figures.finished.items():
            finished.add_metric([*labels, reason], count)
    yield finished


def _histograms(labelled: _Labelled) -> Iterator[Metric]:
    for name, description, field in (
        ("iteration_tokens_total", "Tokens computed in a step.", "step_tokens"),
        ("request_prompt_tokens", "Tokens of a prompt.", "prompt"),
        ("e2e_request_latency_seconds", "From a request's arrival at vLLM to its end.", "latency"),
        ("request_queue_time_seconds", "From then until it was first computed.", "queue"),
        ("request_inference_time_seconds", "And from there to its end.", "inference"),
    ):
        family = HistogramMetricFamily(f"vllm:{name}", description, labels=_LABELS)
        for labels, figures in labelled:
            histogram: Histogram = getattr(figures, field)
            family.add_metric(labels, histogram.cumulative(), histogram.sum)
        yield family
