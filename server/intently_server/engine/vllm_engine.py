"""vLLM's AsyncLLM behind the Engine interface: with an engine of its own, or at one that another process has started.

Uses only what vLLM 0.25.1 and 0.32.0 both have; tests/contract/test_vllm_interface.py names it.
"""

import asyncio
import itertools
import math
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
import psutil
from prometheus_client import REGISTRY
from vllm import AsyncEngineArgs, PoolingParams
from vllm.inputs import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase

from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import Figures
from intently_server.engine.process_guard import ProcessGuard, child_processes, end_processes
from intently_server.engine.seat import Seat
from intently_server.engine.vllm_config import VllmConfig
from intently_server.engine.vllm_metrics import VllmMetrics
from intently_server.errors import EngineDead

_WATCH_INTERVAL_S = 0.5  # how often new processes of a starting engine are looked for


class _StatLogger(StatLoggerBase):  # type: ignore[misc]  # vLLM is not typed for us
    """Keeps the counts of requests that vLLM's scheduler last reported, and notes the rest if there are metrics."""

    def __init__(
        self,
        vllm_config: Any,  # noqa: ARG002
        engine_index: int = 0,
        *,
        metrics: VllmMetrics | None = None,
    ) -> None:
        self.load = EngineLoad(0, 0, -math.inf)
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
            self.load = EngineLoad(scheduler_stats.num_running_reqs, scheduler_stats.num_waiting_reqs, time.monotonic())
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


class _Loggers:
    """Makes vLLM a logger for each of its engines, and keeps them."""

    def __init__(self, config: VllmConfig) -> None:
        self.metrics = VllmMetrics(config.name) if config.metrics else None
        self.made: list[_StatLogger] = []

    def __call__(self, vllm_config: Any, engine_index: int = 0) -> _StatLogger:
        self.made.append(_StatLogger(vllm_config, engine_index, metrics=self.metrics))
        return self.made[-1]


class VllmEngine:
    """A client of vLLM. Its engine core and workers are child processes of this one, or of another.

    Args:
        llm: vLLM's.
        loggers: What it tells.
        labels: Rows of the head.
        processes: All that it has started.
        guard: Ends those with this process.
        seat: Its number among all who ask the engine core.
    """

    def __init__(
        self,
        llm: AsyncLLM,
        loggers: _Loggers,
        labels: int,
        processes: Sequence[psutil.Process] = (),
        guard: ProcessGuard | None = None,
        seat: int = 0,
    ) -> None:
        self._llm = llm
        self._loggers = loggers
        self._processes = processes
        self._guard = guard
        self._labels = labels
        self._seat = seat
        self._request_numbers = itertools.count()
        if loggers.metrics is not None:
            REGISTRY.register(loggers.metrics)

    @classmethod
    async def start(cls, config: VllmConfig) -> "VllmEngine":
        """Loads the checkpoint and starts the engine: 20 s to several minutes, off the event loop.

        From the start on, its processes end with this one, however that ends.

        Raises:
            Exception: whatever vLLM raises when it cannot load the checkpoint or has too little memory.
        """
        loggers = _Loggers(config)

        def build() -> AsyncLLM:
            # The engine's processes inherit this: SIGUSR1, which lets streams move, would end them where it goes to a
            # whole process group, as by a shell's `kill -USR1 %1`. So does Ctrl-C, on which vLLM would end before the
            # calls in flight are answered. Python's resource tracker, started later, would unblock it in this thread.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT})
            arguments = AsyncEngineArgs(**config.engine_args())
            return AsyncLLM.from_engine_args(arguments, stat_loggers=[loggers, _NoPrometheus])

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
        return cls(llm, loggers, config.labels, processes, guard)

    @classmethod
    async def attach(cls, config: VllmConfig, seat: Seat) -> "VllmEngine":
        """Takes a seat at an engine core that another process has started, with the same configuration.

        To be called once that has started: vLLM waits only so long for its first word.
        """
        loggers = _Loggers(config)

        def build() -> AsyncLLM:
            return AsyncLLM.from_vllm_config(
                AsyncEngineArgs(**config.engine_args()).create_engine_config(),
                stat_loggers=[loggers, _NoPrometheus],
                disable_log_stats=True,
                client_addresses={"input_address": seat.input_address, "output_address": seat.output_address},
                client_count=seat.clients,
                client_index=seat.index,
            )

        llm = await asyncio.to_thread(build)
        return cls(llm, loggers, config.labels, seat=seat.index)

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        params = PoolingParams(task="classify", use_activation=False)
        number = f"intently-{self._seat}-{next(self._request_numbers)}"
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
        loads = [logger.load for logger in self._loggers.made]
        return EngineLoad(
            sum(load.running for load in loads),
            sum(load.waiting for load in loads),
            max((load.told_at for load in loads), default=-math.inf),
        )

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        metrics = self._loggers.metrics
        return {} if metrics is None else metrics.figures()

    async def shutdown(self, timeout_s: float) -> None:
        """See `Engine.shutdown`."""
        if self._loggers.metrics is not None:
            REGISTRY.unregister(self._loggers.metrics)
        await asyncio.to_thread(self._llm.shutdown, timeout=timeout_s)
        await asyncio.to_thread(end_processes, self._processes)
        if self._guard is not None:
            self._guard.close()
