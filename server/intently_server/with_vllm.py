"""What a server starts as its engine: vLLM, which is imported here and no sooner than it is needed."""

import asyncio
import gc
import importlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intently_server.bundle import Bundle
from intently_server.engine.base import Engine
from intently_server.engine.environment import prepare_environment
from intently_server.engine.process_guard import ProcessGuard
from intently_server.engine.seat import Seat
from intently_server.front_ends import SharedEngine
from intently_server.settings import Settings

if TYPE_CHECKING:
    from intently_server.engine.vllm_core import VllmCore

logger = logging.getLogger(__name__)


async def start_vllm(settings: Settings, bundle: Bundle) -> Engine:
    """Starts vLLM for a bundle. Imports it only now, in a thread: it takes seconds, and reads the environment."""
    await asyncio.to_thread(import_vllm, settings)
    logger.info("starting vLLM for %s; this takes from half a minute to some minutes", bundle.model.name)
    engine: Engine = await _vllm("engine").VllmEngine.start(_config(settings, bundle))
    _forget_imports()
    return engine


async def launch_vllm(settings: Settings, bundle: Bundle, seats: Sequence[Seat], guard: ProcessGuard) -> "VllmCore":
    """Starts vLLM for several front ends: see `Launch`."""
    await asyncio.to_thread(import_vllm, settings)
    logger.info("starting vLLM for %s; this takes from half a minute to some minutes", bundle.model.name)
    core: VllmCore = await _vllm("core").VllmCore.launch(_config(settings, bundle), seats, guard)
    _forget_imports()
    return core


async def attach_vllm(settings: Settings, bundle: Bundle, seat: Seat) -> Engine:
    """Takes a seat at what `launch_vllm` has started in another process: see `Attach`."""
    engine: Engine = await _vllm("engine").VllmEngine.attach(_config(settings, bundle), seat)
    _forget_imports()
    return engine


def import_vllm(settings: Settings) -> None:
    """It takes seconds, and reads the environment."""
    prepare_environment(settings.engine_log_level)
    _vllm("engine")


SHARED_VLLM = SharedEngine(launch_vllm, import_vllm, attach_vllm)


def _vllm(part: str) -> Any:
    return importlib.import_module(f"intently_server.engine.vllm_{part}")


def _config(settings: Settings, bundle: Bundle) -> Any:
    return _vllm("config").VllmConfig(
        checkpoint=bundle.path,
        labels=bundle.model.labels,
        max_input_tokens=bundle.model.limits.max_input_tokens,
        dtype=settings.dtype,
        max_batched_tokens=settings.max_batched_tokens,
        max_sequences=settings.max_sequences,
        kv_cache_gib=settings.kv_cache_gib,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        tensor_parallel_size=settings.tensor_parallel_size,
        data_parallel_size=settings.data_parallel_size,
        executor=settings.executor,
        max_cudagraph_tokens=settings.max_cudagraph_tokens,
        enforce_eager=settings.enforce_eager,
        async_scheduling=settings.async_scheduling,
        name=bundle.model.name,
        metrics=settings.keeps_engine_metrics,
    )


def _forget_imports() -> None:
    """A full collection would look through all that vLLM has imported: 0.4 s in which nobody is answered."""
    gc.collect()
    gc.freeze()
