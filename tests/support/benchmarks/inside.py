"""Where the time of a call goes inside our server, by its own histograms: means over what was answered meanwhile."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from support.admin_caller import Metrics
from support.benchmarks.world import World

_CALL = "rpc_server_call_duration_seconds"
_STAGE = "intently_server_stage_duration_seconds"
_LABEL = "intently_stage"
_IN_VLLM = ("vllm:request_queue_time_seconds", "vllm:request_inference_time_seconds")

Sums = dict[str, tuple[float, float]]


@contextmanager
def inside(world: World, name: str) -> Iterator[None]:
    """Notes milliseconds of each part of a call, under that name: of the calls that the server answers in the block."""
    address = world.server_process().admin
    before = _sums(address)
    yield
    world.record.note(**{name: means_ms(before, _sums(address))})


def means_ms(before: Sums, after: Sums) -> dict[str, float]:
    """Of each part, what it took on average between two looks; parts that did not happen are left out."""
    found = {}
    for part, (seconds, count) in after.items():
        had_s, had = before.get(part, (0.0, 0.0))
        if count > had:
            found[part] = round((seconds - had_s) / (count - had) * 1e3, 3)
    return found


def sums_of(text: str) -> Sums:
    """Seconds and count of each part, by a page of metrics."""
    metrics = Metrics(text)
    stages = (
        {sample.labels[_LABEL] for sample in metrics.families[_STAGE].samples} if _STAGE in metrics.families else ()
    )

    def of(name: str, **labels: str) -> tuple[float, float]:
        return metrics.sum(f"{name}_sum", **labels), metrics.sum(f"{name}_count", **labels)

    return {
        "the call": of(_CALL),
        **{stage: of(_STAGE, **{_LABEL: stage}) for stage in sorted(stages)},
        **{name: of(name) for name in _IN_VLLM if name in metrics.families},
    }


def _sums(address: str) -> Sums:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as page:  # our own server
        return sums_of(page.read().decode())
