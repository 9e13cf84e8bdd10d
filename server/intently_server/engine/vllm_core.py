"""vLLM's engine core without a client of its own: started here, asked by other processes, each from a seat.

What `vllm serve --api-server-count N` does, without its HTTP. Uses only what vLLM 0.25.1 and 0.32.0 both have.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

import psutil
import zmq
import zmq.asyncio
from vllm import AsyncEngineArgs
from vllm.v1.engine.core import EngineCoreProc
from vllm.v1.engine.utils import EngineZmqAddresses, launch_core_engines
from vllm.v1.executor import Executor

from intently_server.engine.process_guard import ProcessGuard, child_processes, end_processes
from intently_server.engine.seat import Seat
from intently_server.engine.vllm_config import VllmConfig

logger = logging.getLogger(__name__)

_TELL_S = 1.0  # for the word of the engine's death to leave this process


class VllmCore:
    """An engine core and its workers, which end with this process.

    Args:
        manager: vLLM's, of the engine core's processes.
        coordinator: vLLM's, where there are several engine cores; or None.
        processes: All that vLLM has started.
    """

    def __init__(self, manager: Any, coordinator: Any, processes: Sequence[psutil.Process]) -> None:
        self._manager = manager
        self._coordinator = coordinator
        self._processes = processes
        self._context = zmq.asyncio.Context()
        self._left: list[asyncio.Task[None]] = []

    @classmethod
    async def launch(cls, config: VllmConfig, seats: Sequence[Seat], guard: ProcessGuard) -> "VllmCore":
        """Loads the checkpoint and starts the engine: 20 s to several minutes, off the event loop.

        Args:
            config: How.
            seats: Where it is asked; those who sit there may come later.
            guard: Ends the engine's processes with this one, from their start on.

        Raises:
            Exception: whatever vLLM raises when it cannot load the checkpoint or has too little memory.
        """

        def build() -> tuple[Any, Any]:
            # Inherited, see `VllmEngine.start`. SIGINT too: Ctrl-C goes to the whole group, and vLLM ends for it at
            # once, before the calls in flight have.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT})
            made = AsyncEngineArgs(**config.engine_args()).create_engine_config()
            addresses = EngineZmqAddresses(
                inputs=[seat.input_address for seat in seats], outputs=[seat.output_address for seat in seats]
            )
            with guard.marking(), launch_core_engines(made, Executor.get_class(made), True, addresses) as launched:
                pass  # at the end of this block vLLM waits until the engine has started
            if isinstance(launched, tuple):  # 0.25.1
                return launched[0], launched[1]
            return launched.engine_manager, launched.coordinator

        others = set(child_processes())
        try:
            thread = ThreadPoolExecutor(1, thread_name_prefix="vllm-start")
            manager, coordinator = await asyncio.get_running_loop().run_in_executor(thread, build)
        except BaseException:
            end_processes(child_processes(others))
            raise
        processes = child_processes(others)
        guard.watch(processes)
        return cls(manager, coordinator, processes)

    @property
    def alive(self) -> bool:
        """Whether all of its processes are."""
        coordinator = self._coordinator
        return not self._manager.finished_procs() and (coordinator is None or coordinator.proc.is_alive())

    def leave(self, seat: Seat) -> None:
        """Whoever sat there has died: takes what the engine still sends there, which it would keep for ever."""
        self._left.append(asyncio.ensure_future(self._take(seat)))

    async def _take(self, seat: Seat) -> None:
        with self._context.socket(zmq.PULL) as answers:
            try:
                answers.bind(seat.output_address)
            except zmq.ZMQError as error:
                logger.warning("what the engine still sends to seat %d stays there: %s", seat.index, error)
                return
            while True:
                await answers.recv_multipart()

    async def tell_of_death(self, seats: Sequence[Seat]) -> None:
        """Says to those who sit there what the engine says when it fails, and cannot when it is killed."""
        sockets = []
        for seat in seats:
            sockets.append(self._context.socket(zmq.PUSH))
            sockets[-1].connect(seat.output_address)
            with contextlib.suppress(zmq.ZMQError):
                await sockets[-1].send(EngineCoreProc.ENGINE_CORE_DEAD, zmq.NOBLOCK)
        for each in sockets:
            each.close(linger=int(_TELL_S * 1000))

    async def shutdown(self, timeout_s: float) -> None:
        """Ends the engine and all its processes, by force once `timeout_s` is over."""
        for task in self._left:
            task.cancel()
        await asyncio.to_thread(self._manager.shutdown, timeout=timeout_s)
        if self._coordinator is not None:
            await asyncio.to_thread(self._coordinator.shutdown)
        await asyncio.to_thread(end_processes, self._processes)
        self._context.destroy(linger=0)
