"""What vLLM tells of its steps is counted once, under vLLM's names, and a fault in that harms nobody."""

import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from intently_server.engine.engine_figures import Ended, EngineStep, sum_of_all
from intently_server.engine.vllm_metrics import VllmMetrics, shown
from support.admin_caller import Metrics


def scheduler(running: int = 0, waiting: int = 0, queries: int = 0, hits: int = 0) -> Any:
    """vLLM's SchedulerStats, as far as they are read."""
    return SimpleNamespace(
        num_running_reqs=running,
        num_waiting_reqs=waiting,
        num_skipped_waiting_reqs=1,
        kv_cache_usage=0.25,
        prefix_cache_stats=SimpleNamespace(queries=queries, hits=hits),
    )


def ended(latency: float, computed: int = 0, *preempted_at: float) -> Ended:
    """A request of 20 tokens that the step at 100 s ends, after 1 ms of waiting and 4 ms of work."""
    events = [SimpleNamespace(type=kind, timestamp=at) for kind, at in ((1, 99.995), (2, 99.996))]
    events += [SimpleNamespace(type=kind, timestamp=at) for at in preempted_at for kind in (3, 2)]
    prefill = SimpleNamespace(num_prompt_tokens=20, num_computed_tokens=computed, num_cached_tokens=20 - computed)
    return Ended(100 - latency, events, prefill, "stop")


def step(engine: int, told: Any, *requests: Ended) -> EngineStep:
    """What an engine tells after a step that was over at 100 s."""
    return EngineStep(engine, 100.0, 100.0, told, requests)


@pytest.fixture
def kept() -> VllmMetrics:
    """Nothing noted yet."""
    return VllmMetrics("banking")


def seen(metrics: Collector) -> Metrics:
    """What Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(metrics)
    return Metrics(generate_latest(registry).decode())


def test_steps_add_up_and_the_last_one_tells_the_load(kept: VllmMetrics) -> None:
    kept.note(step(0, scheduler(3, 1, queries=100, hits=60), ended(0.006, 18), ended(0.012, 12)))
    kept.note(step(0, scheduler(2, 0, queries=50, hits=10)))
    kept.note(step(0, None, ended(0.3, 7, 99.997, 99.998)))

    shown, labels = seen(kept), {"model_name": "banking", "engine": "0"}
    assert shown.sum("vllm:num_requests_running", **labels) == 2
    assert shown.sum("vllm:num_requests_waiting", **labels) == 1
    assert shown.sum("vllm:kv_cache_usage_perc", **labels) == 0.25
    assert shown.sum("vllm:prefix_cache_queries_total", **labels) == 150
    assert shown.sum("vllm:prefix_cache_hits_total", **labels) == 70
    assert shown.sum("vllm:num_preemptions_total", **labels) == 2
    assert shown.sum("vllm:prompt_tokens_total", **labels) == 60
    assert shown.sum("vllm:prompt_tokens_cached_total", **labels) == 23
    assert shown.sum("vllm:request_success_total", finished_reason="stop", **labels) == 3
    assert shown.sum("vllm:e2e_request_latency_seconds_sum", **labels) == pytest.approx(0.318)
    assert shown.sum("vllm:e2e_request_latency_seconds_bucket", le="0.015", **labels) == 2
    assert shown.sum("vllm:e2e_request_latency_seconds_count", **labels) == 3
    assert shown.sum("vllm:request_queue_time_seconds_count", **labels) == 3
    assert shown.sum("vllm:request_queue_time_seconds_sum", **labels) == pytest.approx(0.003)
    assert shown.sum("vllm:request_inference_time_seconds_sum", **labels) == pytest.approx(0.012)
    assert shown.sum("vllm:request_prompt_tokens_sum", **labels) == 60
    assert shown.sum("vllm:iteration_tokens_total_count", **labels) == 2
    assert shown.sum("vllm:iteration_tokens_total_sum", **labels) == 37


def test_engines_are_told_apart(kept: VllmMetrics) -> None:
    kept.note(step(0, scheduler(running=1)))
    kept.note(step(1, scheduler(running=4)))

    shown = seen(kept)
    assert [shown.sum("vllm:num_requests_running", engine=engine) for engine in ("0", "1")] == [1, 4]


def test_nothing_is_counted_twice(kept: VllmMetrics) -> None:
    for _ in range(1000):
        kept.note(step(0, None, ended(0.01)))

    for _ in range(2):
        assert seen(kept).sum("vllm:request_success_total") == 1000


def test_a_step_that_cannot_be_counted_is_logged_and_the_rest_is(
    kept: VllmMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    for each in (None, SimpleNamespace(), None):
        kept.note(step(0, each, ended(0.01)))

    assert seen(kept).sum("vllm:request_success_total") == 2
    assert [record.getMessage() for record in caplog.records] == ["a step of the engine could not be counted"]


class Summed(Collector):
    """What several clients of the same engines were told, each in a process of its own."""

    def __init__(self, *kept: VllmMetrics) -> None:
        self._parts = [pickle.loads(pickle.dumps(each.figures())) for each in kept]  # noqa: S301

    def collect(self) -> Iterator[Metric]:
        yield from shown("banking", sum_of_all(self._parts))


def test_what_several_were_told_adds_up_and_the_newest_tells_the_load(kept: VllmMetrics) -> None:
    parts = [VllmMetrics("banking") for _ in range(3)]
    steps: list[tuple[int, EngineStep]] = [
        (0, step(0, scheduler(9, 4, queries=100, hits=60), ended(0.006, 20), ended(0.012, 20))),
        (1, step(0, None, ended(0.3, 7))),
        (1, step(1, scheduler(4, queries=5))),
        (0, step(1, scheduler(3, queries=3), ended(0.006))),
        (1, step(0, scheduler(2, 0, queries=50, hits=10))._replace(told_at=100.1)),
        (0, step(0, None, ended(0.5))),
    ]
    for part, each in steps:
        parts[part].note(each)
        kept.note(each)

    together, one = seen(Summed(*parts)), seen(kept)
    assert {name: family.samples for name, family in together.families.items()} == {
        name: family.samples for name, family in one.families.items()
    }
    assert together.sum("vllm:num_requests_running", engine="0") == 2


def test_who_was_told_nothing_adds_nothing(kept: VllmMetrics) -> None:
    assert sum_of_all([kept.figures(), {}]) == {}
