"""vLLM's AsyncLLM behind the Engine interface: the only module that imports vLLM.

Uses only what vLLM 0.25.1 and 0.32.0 both have; tests/contract/test_vllm_interface.py names it.
"""

import asyncio
import itertools
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from prometheus_client import REGISTRY
from vllm import AsyncEngineArgs, PoolingParams
from vllm.inputs import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase

from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.process_guard import ProcessGuard, child_processes, end_processes
from intently_server.engine.vllm_metrics import VllmMetrics
from intently_server.errors import EngineDead

GIB = 1 << 30
_CPU_KV_CACHE_GIB = 1.0
_CPU_BLOCK_TOKENS = 32  # vLLM's own 128 leave up to 127 tokens of the shared prefix to be computed for each prompt
_WATCH_INTERVAL_S = 0.5  # how often new processes of a starting engine are looked for


@dataclass(frozen=True, slots=True)
class VllmConfig:
    """How vLLM runs a checkpoint.

    Attributes:
        checkpoint: Folder of a sequence classifier in Hugging Face's layout.
        labels: Rows of its head.
        max_input_tokens: Tokens of the longest prompt.
        dtype: "auto" (the checkpoint's), "bfloat16", "float16" or "float32".
        max_batched_tokens: Tokens of one step; a longer prompt is prefilled in chunks. None: vLLM's choice.
        max_sequences: Prompts of one step at most. None: vLLM's choice.
        kv_cache_gib: Memory of the KV cache in GiB. None: on a GPU, what `gpu_memory_utilization` leaves; on a CPU, 1,
            since vLLM would otherwise ask for that share of the whole machine, and fail where it is not free.
        gpu_memory_utilization: Share of the GPU's memory that vLLM may take, 0 to 1.
        tensor_parallel_size: GPUs that share each layer.
        data_parallel_size: Copies of the engine, each on GPUs of its own.
        executor: "mp", "ray", or "auto" for vLLM's choice.
        enforce_eager: Whether to skip compilation: a quicker start, slower answers.
        async_scheduling: Whether vLLM schedules a step while the one before computes. None: on a GPU, unless Ray runs
            the workers, who cannot; vLLM by itself would not for pooling, but there it answers 5 to 8 % more.
        name: Of the model, for vLLM's metrics.
        metrics: Whether vLLM keeps metrics, in prometheus_client's default registry.
    """

    checkpoint: Path
    labels: int
    max_input_tokens: int
    dtype: str = "auto"
    max_batched_tokens: int | None = None
    max_sequences: int | None = None
    kv_cache_gib: float | None = None
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    executor: str = "auto"
    enforce_eager: bool = False
    async_scheduling: bool | None = None
    name: str = "model"
    metrics: bool = True

    def engine_args(self) -> Mapping[str, Any]:
        """The arguments of vLLM's AsyncEngineArgs."""
        return {
            "model": str(self.checkpoint),
            "served_model_name": self.name,
            "skip_tokenizer_init": True,
            "trust_remote_code": False,
            "load_format": "safetensors",
            "runner": "pooling",
            "convert": "classify",
            "dtype": self.dtype,
            "max_model_len": self.max_input_tokens,
            "enable_prefix_caching": True,
            "enable_chunked_prefill": True,
            "max_num_batched_tokens": self.max_batched_tokens,
            "max_num_seqs": self.max_sequences,
            "kv_cache_memory_bytes": self._kv_cache_bytes(),
            "block_size": None if torch.cuda.is_available() else _CPU_BLOCK_TOKENS,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "tensor_parallel_size": self.tensor_parallel_size,
            "data_parallel_size": self.data_parallel_size,
            "distributed_executor_backend": None if self.executor == "auto" else self.executor,
            "enforce_eager": self.enforce_eager,
            "async_scheduling": self._async_scheduling(),
            "disable_log_stats": True,
            "enable_log_requests": False,
            "use_tqdm_on_load": False,
        }

    def _async_scheduling(self) -> bool | None:
        if self.async_scheduling is None and torch.cuda.is_available() and self.executor != "ray":
            return True
        return self.async_scheduling

    def _kv_cache_bytes(self) -> int | None:
        gib = self.kv_cache_gib
        if gib is None and not torch.cuda.is_available():
            gib = _CPU_KV_CACHE_GIB
        return None if gib is None else int(gib * GIB)


class _StatLogger(StatLoggerBase):  # type: ignore[misc]  # vLLM is not typed for us
    """Keeps the counts of requests that vLLM's scheduler last reported, and notes the rest if there are metrics."""

    def __init__(
        self,
        vllm_config: Any,  # noqa: ARG002
        engine_index: int = 0,
        *,
        metrics: VllmMetrics | None = None,
    ) -> None:
        self.load = EngineLoad(0, 0)
        self._engine_index = engine_index
        self._metrics = metrics

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,  # noqa: ARG002
        engine_idx: int = 0,  # noqa: ARG002
    ) -> None:
        if scheduler_stats is not None:
            self.load = EngineLoad(scheduler_stats.num_running_reqs, scheduler_stats.num_waiting_reqs)
        if self._metrics is not None:
            self._metrics.note(self._engine_index, scheduler_stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Nothing to say: the server logs its own start."""


class _NoPrometheus(PrometheusStatLogger):  # type: ignore[misc]  # as above
    """Takes the place of vLLM's own logger for Prometheus, which costs too much: see `VllmMetrics`."""

    def __init__(self, vllm_config: Any, engine_indexes: Any = None) -> None:
        """Registers nothing."""

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        """Keeps nothing."""

    def log_engine_initialized(self) -> None:
        """Says nothing."""


class VllmEngine:
    """A vLLM engine in this process; its engine core and workers are child processes."""

    def __init__(
        self,
        llm: AsyncLLM,
        loggers: Sequence[_StatLogger],
        metrics: VllmMetrics | None,
        processes: Sequence[psutil.Process],
        guard: ProcessGuard,
        labels: int,
    ) -> None:
        self._llm = llm
        self._loggers = loggers
        self._metrics = metrics
        self._processes = processes
        self._guard = guard
        self._labels = labels
        self._request_numbers = itertools.count()
        if metrics is not None:
            REGISTRY.register(metrics)

    @classmethod
    async def start(cls, config: VllmConfig) -> "VllmEngine":
        """Loads the checkpoint and starts the engine: 20 s to several minutes, off the event loop.

        From the start on, its processes end with this one, however that ends.

        Raises:
            Exception: whatever vLLM raises when it cannot load the checkpoint or has too little memory.
        """
        metrics = VllmMetrics(config.name) if config.metrics else None
        loggers: list[_StatLogger] = []

        def logger(vllm_config: Any, engine_index: int = 0) -> _StatLogger:
            loggers.append(_StatLogger(vllm_config, engine_index, metrics=metrics))
            return loggers[-1]

        def build() -> AsyncLLM:
            # The engine's processes inherit this: SIGUSR1, which lets streams move, would end them where it goes to a
            # whole process group, as by a shell's `kill -USR1 %1`. So does Ctrl-C, on which vLLM would end before the
            # calls in flight are answered. Python's resource tracker, started later, would unblock it in this thread.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT})
            arguments = AsyncEngineArgs(**config.engine_args())
            return AsyncLLM.from_engine_args(arguments, stat_loggers=[logger, _NoPrometheus])

        others = set(child_processes())
        guard = ProcessGuard()
        try:
            # A thread of its own: nobody waits for it when the start is given up.
            thread = ThreadPoolExecutor(1, thread_name_prefix="vllm-start")
            building = asyncio.get_running_loop().run_in_executor(thread, build)
            while not building.done():
                guard.watch(child_processes(others))
                await asyncio.wait([building], timeout=_WATCH_INTERVAL_S)
            llm = building.result()
        except BaseException:
            guard.watch(child_processes(others))
            guard.close()
            raise
        processes = child_processes(others)
        guard.watch(processes)
        return cls(llm, loggers, metrics, processes, guard, config.labels)

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        params = PoolingParams(task="classify", use_activation=False)
        number = f"intently-{next(self._request_numbers)}"
        final: Any = None
        try:
            async for output in self._llm.encode(tokens_input(list(token_ids)), params, number):
                final = output
        except EngineDeadError as error:
            raise EngineDead("the engine has died") from error
        logits = np.asarray(final.outputs.data.float().numpy(), dtype=np.float32)
        if logits.shape != (self._labels,):
            raise ValueError(f"the head gave logits of shape {logits.shape}, not ({self._labels},)")
        if not np.isfinite(logits).all():
            raise ValueError("the head gave logits that are no numbers")
        return EngineOutput(logits, int(final.num_cached_tokens))

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return not self._llm.errored

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        loads = [logger.load for logger in self._loggers]
        return EngineLoad(sum(load.running for load in loads), sum(load.waiting for load in loads))

    async def shutdown(self, timeout_s: float) -> None:
        """See `Engine.shutdown`."""
        if self._metrics is not None:
            REGISTRY.unregister(self._metrics)
        await asyncio.to_thread(self._llm.shutdown, timeout=timeout_s)
        await asyncio.to_thread(end_processes, self._processes)
        self._guard.close()
