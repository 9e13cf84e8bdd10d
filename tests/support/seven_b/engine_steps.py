"""vLLM alone, in one process: what a step takes, by the prompts in it, and which kernels it runs.

    python -m support.seven_b.engine_steps BUNDLE '{"kv_cache_gib": null, ...}'

Prints JSON; vLLM's log goes to standard error. A program of its own, since an engine gives memory back when it ends.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FRESH = 24  # tokens of a prompt after its prefix
REPEATS = 20
TOP = 14  # kernels told


def main() -> None:
    """Measures the bundle that the command line names."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the profiler and the peak of the memory are this process's
    bundle, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
    batches = asked.pop("batches")
    engine, prefix, vocabulary = _start(bundle, asked)
    run = _Runner(engine, prefix, vocabulary)
    run.steps(1)
    found = {str(batch): _timed(run, batch) for batch in batches}
    report = {"steps": found, "kernels": {str(batch): _kernels(run, batch) for batch in (batches[0], batches[-1])}}
    print(json.dumps(report | _memory(engine)))  # noqa: T201  # read by who started this


def _start(bundle: Path, asked: dict[str, Any]) -> tuple[Any, list[int], int]:
    from intently_server.engine.environment import prepare_environment

    prepare_environment("INFO")
    from vllm import LLM

    from intently_build.bundles.manifest import label_names, manifest_layout, read_manifest
    from intently_build.prompt import PromptEncoder
    from intently_server.engine.vllm_config import VllmConfig

    manifest = read_manifest(bundle)
    encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(manifest.prompt))
    limits = manifest.limits.max_input_tokens
    config = VllmConfig(bundle, len(label_names(manifest)), limits, metrics=False, **asked)
    arguments = {name: value for name, value in config.engine_args().items() if name != "enable_log_requests"}
    vocabulary = json.loads((bundle / "config.json").read_text())["vocab_size"]
    return LLM(**arguments).llm_engine, encoder.prefix_ids, vocabulary


class _Runner:
    """Sends prompts that share a prefix and differ in what follows."""

    def __init__(self, engine: Any, prefix: Sequence[int], vocabulary: int) -> None:
        self._engine = engine
        self._prefix = list(prefix)
        self._vocabulary = vocabulary
        self._sent = 0

    def steps(self, batch: int) -> list[float]:
        """Seconds of each step that so many prompts take."""
        from vllm import PoolingParams

        params = PoolingParams(task="classify", use_activation=False)
        for _ in range(batch):
            self._sent += 1
            fresh = [(self._sent * 7919 + place * 104_729) % self._vocabulary for place in range(FRESH)]
            self._engine.add_request(str(self._sent), {"prompt_token_ids": [*self._prefix, *fresh]}, params.clone())
        seconds = []
        while self._engine.has_unfinished_requests():
            started = time.perf_counter()
            self._engine.step()
            seconds.append(time.perf_counter() - started)
        return seconds


def _timed(run: _Runner, batch: int) -> dict[str, float]:
    run.steps(batch)  # what is compiled on the first time
    runs = [run.steps(batch) for _ in range(REPEATS)]
    whole = [sum(each) for each in runs]
    return {
        "steps": statistics.median(map(len, runs)),
        "median_ms": round(statistics.median(whole) * 1e3, 3),
        "least_ms": round(min(whole) * 1e3, 3),
        "prompts_per_s": round(batch / statistics.median(whole), 1),
    }


def _kernels(run: _Runner, batch: int) -> list[dict[str, Any]]:
    import torch
    from torch.profiler import ProfilerActivity, profile

    gpu = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as profiler:
        run.steps(batch)
    of = "self_device_time_total" if gpu else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: getattr(event, of), reverse=True)
    return [
        {"name": str(event.key)[:160], "us": round(getattr(event, of), 1), "calls": event.count}
        for event in events[:TOP]
    ]


def _memory(engine: Any) -> dict[str, Any]:
    import torch

    cache = engine.vllm_config.cache_config
    blocks = {"kv_blocks": cache.num_gpu_blocks, "kv_block_tokens": cache.block_size}
    if not torch.cuda.is_available():
        return blocks
    return blocks | {"peak_allocated_mib": round(torch.cuda.max_memory_allocated() / 2**20)}


if __name__ == "__main__":
    main()
