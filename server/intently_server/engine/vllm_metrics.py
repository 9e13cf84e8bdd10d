"""vLLM's own metrics, those that tell of a classifier, under vLLM's names, kept in plain numbers.

vLLM's logger for Prometheus records 13 histograms for each request and sets 20 other metrics for each step of the
engine, at 0.6 µs or more each: of a small model's calls that takes 4 %. Most of it says nothing of requests that
generate no tokens. Steps are noted here and counted many at once, as calls are in `telemetry/ledger.py`.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from intently_server.histogram import LATENCY_BOUNDS, Histogram

logger = logging.getLogger(__name__)

_MOST = 64  # steps; counting them takes a fraction of a millisecond
_TOKEN_BOUNDS = tuple(float(1 << power) for power in range(3, 17))  # 8 to 65,536


class _Step(NamedTuple):
    engine: int
    scheduler: Any  # vLLM's SchedulerStats, or None
    iteration: Any  # vLLM's IterationStats, or None


class VllmMetrics(Collector):
    """Counts what vLLM tells of each step of its engines, and shows it to Prometheus.

    Args:
        model: Name of what is served.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._noted: deque[_Step] = deque()
        self._engines: dict[int, _Figures] = {}
        self._lock = threading.Lock()  # Prometheus collects in a thread of its own

    def note(self, engine: int, scheduler: Any, iteration: Any) -> None:
        """Notes a step, which is counted later."""
        self._noted.append(_Step(engine, scheduler, iteration))
        if len(self._noted) >= _MOST:
            self._settle()

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        self._settle()
        with self._lock:
            engines = sorted(self._engines.items())
            labels = [((self._model, str(number)), figures) for number, figures in engines]
            metrics = [*_gauges(labels), *_counters(labels), *_histograms(labels)]
        yield from metrics

    def _settle(self) -> None:
        """Counts all that was noted. A fault in that is logged: vLLM would end for it."""
        with self._lock:
            for _ in range(len(self._noted)):
                step = self._noted.popleft()
                figures = self._engines.setdefault(step.engine, _Figures())
                try:
                    figures.count(step)
                except Exception:
                    logger.exception("a step of the engine could not be counted")


class _Figures:
    """What one engine has told."""

    def __init__(self) -> None:
        self.running = self.waiting = self.preemptions = 0
        self.cache_usage = 0.0
        self.cache_queries = self.cache_hits = 0
        self.prompt_tokens = self.cached_tokens = 0
        self.finished: Counter[Any] = Counter()  # by vLLM's FinishReason
        self.step_tokens = Histogram(_TOKEN_BOUNDS)
        self.prompt = Histogram(_TOKEN_BOUNDS)
        self.latency = Histogram(LATENCY_BOUNDS)
        self.queue = Histogram(LATENCY_BOUNDS)
        self.inference = Histogram(LATENCY_BOUNDS)

    def count(self, step: _Step) -> None:
        """Counts a step."""
        _, scheduler, iteration = step
        if scheduler is not None:
            self.running = scheduler.num_running_reqs
            self.waiting = scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs
            self.cache_usage = scheduler.kv_cache_usage
            cache = scheduler.prefix_cache_stats
            self.cache_queries += cache.queries
            self.cache_hits += cache.hits
        if iteration is None:
            return
        tokens = iteration.prompt_token_stats
        self.preemptions += iteration.num_preempted_reqs
        self.prompt_tokens += tokens.total
        self.cached_tokens += tokens.cached_tokens
        self.step_tokens.record(tokens.computed)
        for request in iteration.finished_requests:
            self.finished[request.finish_reason] += 1
            self.prompt.record(request.num_prompt_tokens)
            self.latency.record(request.e2e_latency)
            self.queue.record(request.queued_time)
            self.inference.record(request.inference_time)


_Labelled = Sequence[tuple[tuple[str, str], _Figures]]
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
            finished.add_metric([*labels, str(reason)], count)
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
