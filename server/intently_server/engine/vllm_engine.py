"""vLLM behind the Engine interface: with an engine core of its own, or at one that another process has started.

Uses only what vLLM 0.25.1 and 0.32.0 both have; tests/contract/test_vllm_interface.py names it.
"""

import asyncio
import math
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
import psutil
from prometheus_client import REGISTRY
from vllm import AsyncEngineArgs, PoolingParams
from vllm.v1.engine.core_client import EngineCoreClient
from vllm.v1.executor import Executor

from intently_server.engine.base import EngineLoad, EngineOutput
from intently_server.engine.engine_figures import EngineStep, Figures
from intently_server.engine.process_guard import ProcessGuard, child_processes, end_processes
from intently_server.engine.seat import Seat
from intently_server.engine.vllm_client import VllmClient
from intently_server.engine.vllm_config import VllmConfig
from intently_server.engine.vllm_metrics import VllmMetrics


class VllmEngine:
    """A client of vLLM. Its engine core and workers are child processes of this one, or of another. To be made on the
    event loop.

    Args:
        core: vLLM's client of the engine core.
        params: vLLM's, of all requests.
        config: How vLLM runs the checkpoint.
        processes: All that it has started.
        guard: Ends those with this process.
        keeping: Keeps the guard.
        seat: Its number among all who ask the engine core.
    """

    def __init__(
        self,
        core: Any,
        params: PoolingParams,
        config: VllmConfig,
        processes: Sequence[psutil.Process] = (),
        guard: ProcessGuard | None = None,
        keeping: "asyncio.Task[None] | None" = None,
        seat: int = 0,
    ) -> None:
        self._client = VllmClient(core, params, seat, self._note)
        self._processes = processes
        self._guard = guard
        self._keeping = keeping
        self._labels = config.labels
        self._loads: dict[int, EngineLoad] = {}
        self._metrics = VllmMetrics(config.name) if config.metrics else None
        if self._metrics is not None:
            REGISTRY.register(self._metrics)

    @classmethod
    async def start(cls, config: VllmConfig) -> "VllmEngine":
        """Loads the checkpoint and starts the engine: 20 s to several minutes, off the event loop.

        From the start on, its processes end with this one, however that ends.

        Raises:
            Exception: whatever vLLM raises when it cannot load the checkpoint or has too little memory.
        """

        def build() -> tuple[Any, PoolingParams]:
            # The engine's processes inherit this: SIGUSR1, which lets streams move, would end them where it goes to a
            # whole process group, as by a shell's `kill -USR1 %1`. So does Ctrl-C, on which vLLM would end before the
            # calls in flight are answered. Python's resource tracker, started later, would unblock it in this thread.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT})
            with guard.marking():
                return _ask(config)

        guard = ProcessGuard()
        keeping = asyncio.create_task(guard.keep())
        others = set(child_processes())
        # A thread of its own: nobody waits for it when the start is given up.
        building = ThreadPoolExecutor(1, thread_name_prefix="vllm-start").submit(build)
        try:
            core, params = await asyncio.wrap_future(building)
        except BaseException:
            keeping.cancel()
            try:
                await asyncio.to_thread(end_processes, child_processes(others))
            finally:
                building.add_done_callback(lambda _: guard.close())  # what it may start until then ends as well
            raise
        processes = child_processes(others)
        guard.watch(processes)
        return cls(core, params, config, processes, guard, keeping)

    @classmethod
    async def attach(cls, config: VllmConfig, seat: Seat) -> "VllmEngine":
        """Takes a seat at an engine core that another process has started, with the same configuration.

        To be called once that has started: vLLM waits only so long for its first word.
        """
        core, params = await asyncio.to_thread(_ask, config, seat)
        return cls(core, params, config, seat=seat.index)

    async def classify(self, token_ids: Sequence[int]) -> EngineOutput:
        """See `Engine.classify`."""
        output = await self._client.ask(token_ids)
        if output.pooling_output is None:
            raise ValueError(f"the engine ended a request without logits: {output.finish_reason}")
        logits = np.asarray(output.pooling_output.float().numpy(), dtype=np.float32)
        if logits.shape != (self._labels,):
            raise ValueError(f"the head gave logits of shape {logits.shape}, not ({self._labels},)")
        if not np.isfinite(logits).all():
            raise ValueError("the head gave logits that are no numbers")
        prefill = output.prefill_stats
        return EngineOutput(logits, 0 if prefill is None else int(prefill.num_cached_tokens))

    @property
    def alive(self) -> bool:
        """See `Engine.alive`."""
        return self._client.alive

    def load(self) -> EngineLoad:
        """See `Engine.load`."""
        loads = self._loads.values()
        return EngineLoad(
            sum(load.running for load in loads),
            sum(load.waiting for load in loads),
            max((load.told_at for load in loads), default=-math.inf),
        )

    def figures(self) -> Figures:
        """See `Engine.figures`."""
        return {} if self._metrics is None else self._metrics.figures()

    async def shutdown(self, timeout_s: float) -> None:
        """See `Engine.shutdown`."""
        if self._metrics is not None:
            REGISTRY.unregister(self._metrics)
        await self._client.shutdown(timeout_s)
        await asyncio.to_thread(end_processes, self._processes)
        if self._keeping is not None:
            self._keeping.cancel()
        if self._guard is not None:
            await asyncio.to_thread(self._guard.close)

    def _note(self, step: EngineStep) -> None:
        scheduler = step.scheduler
        if scheduler is not None:
            running, waiting = scheduler.num_running_reqs, scheduler.num_waiting_reqs
            self._loads[step.engine] = EngineLoad(running, waiting, step.told_at)
        if self._metrics is not None:
            self._metrics.note(step)


def _ask(config: VllmConfig, seat: Seat | None = None) -> tuple[Any, PoolingParams]:
    """vLLM's client of an engine core, which it starts unless there is a seat at one; and what all requests ask for."""
    made = AsyncEngineArgs(**config.engine_args()).create_engine_config()
    params = PoolingParams(task="classify", use_activation=False)
    params.verify(made.model_config)
    executor = Executor.get_class(made)
    if seat is None:
        return EngineCoreClient.make_async_mp_client(made, executor, True), params
    addresses = {"input_address": seat.input_address, "output_address": seat.output_address}
    return EngineCoreClient.make_async_mp_client(made, executor, True, addresses, seat.clients, seat.index), params
