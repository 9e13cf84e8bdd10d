"""What vLLM tells of its steps is counted once, under vLLM's names, and a fault in that harms nobody."""

import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from intently_server.engine.engine_figures import sum_of_all
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


def iteration(*latencies: float, computed: int = 0) -> Any:
    """vLLM's IterationStats of a step that ends a request of 20 tokens for each latency."""
    request = {"finish_reason": "stop", "num_prompt_tokens": 20, "queued_time": 0.001, "inference_time": 0.004}
    return SimpleNamespace(
        prompt_token_stats=SimpleNamespace(computed=computed, cached_tokens=5, total=computed + 5),
        num_preempted_reqs=1,
        finished_requests=[SimpleNamespace(e2e_latency=each, **request) for each in latencies],
    )


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
    kept.note(0, scheduler(3, 1, queries=100, hits=60), iteration(0.006, 0.012, computed=40))
    kept.note(0, scheduler(2, 0, queries=50, hits=10), None)
    kept.note(0, None, iteration(0.3, computed=7))

    shown, labels = seen(kept), {"model_name": "banking", "engine": "0"}
    assert shown.sum("vllm:num_requests_running", **labels) == 2
    assert shown.sum("vllm:num_requests_waiting", **labels) == 1
    assert shown.sum("vllm:kv_cache_usage_perc", **labels) == 0.25
    assert shown.sum("vllm:prefix_cache_queries_total", **labels) == 150
    assert shown.sum("vllm:prefix_cache_hits_total", **labels) == 70
    assert shown.sum("vllm:num_preemptions_total", **labels) == 2
    assert shown.sum("vllm:prompt_tokens_total", **labels) == 57
    assert shown.sum("vllm:prompt_tokens_cached_total", **labels) == 10
    assert shown.sum("vllm:request_success_total", finished_reason="stop", **labels) == 3
    assert shown.sum("vllm:e2e_request_latency_seconds_sum", **labels) == pytest.approx(0.318)
    assert shown.sum("vllm:e2e_request_latency_seconds_bucket", le="0.015", **labels) == 2
    assert shown.sum("vllm:e2e_request_latency_seconds_count", **labels) == 3
    assert shown.sum("vllm:request_queue_time_seconds_count", **labels) == 3
    assert shown.sum("vllm:request_inference_time_seconds_sum", **labels) == pytest.approx(0.012)
    assert shown.sum("vllm:request_prompt_tokens_sum", **labels) == 60
    assert shown.sum("vllm:iteration_tokens_total_sum", **labels) == 47


def test_engines_are_told_apart(kept: VllmMetrics) -> None:
    kept.note(0, scheduler(running=1), None)
    kept.note(1, scheduler(running=4), None)

    shown = seen(kept)
    assert [shown.sum("vllm:num_requests_running", engine=engine) for engine in ("0", "1")] == [1, 4]


def test_nothing_is_counted_twice(kept: VllmMetrics) -> None:
    for _ in range(1000):
        kept.note(0, None, iteration(0.01))

    for _ in range(2):
        assert seen(kept).sum("vllm:request_success_total") == 1000


def test_a_step_that_cannot_be_counted_is_logged_and_the_rest_is(
    kept: VllmMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    for each in (iteration(0.01), SimpleNamespace(), iteration(0.01)):
        kept.note(0, None, each)

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
    steps: list[tuple[int, int, Any, Any]] = [
        (0, 0, scheduler(9, 4, queries=100, hits=60), iteration(0.006, 0.012, computed=40)),
        (1, 0, None, iteration(0.3, computed=7)),
        (1, 1, scheduler(4, queries=5), None),
        (0, 1, scheduler(3, queries=3), iteration(0.006)),
        (1, 0, scheduler(2, 0, queries=50, hits=10), iteration()),
        (0, 0, None, iteration(0.5)),
    ]
    for part, engine, *told in steps:
        parts[part].note(engine, *told)
        kept.note(engine, *told)

    together, one = seen(Summed(*parts)), seen(kept)
    assert {name: family.samples for name, family in together.families.items()} == {
        name: family.samples for name, family in one.families.items()
    }
    assert together.sum("vllm:num_requests_running", engine="0") == 2


def test_who_was_told_nothing_adds_nothing(kept: VllmMetrics) -> None:
    assert sum_of_all([kept.figures(), {}]) == {}
