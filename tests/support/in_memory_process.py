"""A server in a process of its own with an engine in memory, which tells how it is inside when it is asked.

    python -m support.in_memory_process [--probe PORTFILE] --step-ms 20 --batch 8 --bundle BUNDLE ...

With --fault KIND[:SHARE] --faulty-bundle NAME its engine is ill where the bundle's folder has that name. Other flags
are the server's own. A connection to the probe's port gets a line of JSON and is closed.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from intently_server.app import EngineFactory, serve
from intently_server.engine.base import EngineLoad
from intently_server.logs import configure_logs
from intently_server.settings import Settings, read_settings
from support.faulty_engine import Fault, FaultyEngineFactory
from support.paced_engine import Pace, PacedEngine, PacedEngineFactory


def main() -> int:
    """Serves until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", type=Path)
    parser.add_argument("--step-ms", type=float, default=20.0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--fault", type=Fault.of)
    parser.add_argument("--faulty-bundle", default="")
    options, flags = parser.parse_known_args()
    settings = read_settings(flags)
    configure_logs(settings.log_level, settings.log_format)
    factory = PacedEngineFactory(Pace(options.step_ms / 1e3, options.batch))
    start_engine: EngineFactory = factory
    if options.fault is not None:
        start_engine = FaultyEngineFactory(factory, options.faulty_bundle, options.fault)
    tell_port = None if options.probe is None else options.probe.write_text
    return uvloop.run(_serve(settings, factory, start_engine, tell_port))


async def _serve(
    settings: Settings,
    factory: PacedEngineFactory,
    start_engine: EngineFactory,
    tell_port: Callable[[str], object] | None,
) -> int:
    if tell_port is None:
        return await serve(settings, start_engine)

    async def tell(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(_state(factory.engine)).encode() + b"\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(tell, "127.0.0.1", 0) as probe:
        tell_port(str(probe.sockets[0].getsockname()[1]))
        return await serve(settings, start_engine)


def _state(engine: PacedEngine | None) -> dict[str, int]:
    """Counts of what could leak. Returns free memory to the system first, so that what is left is in use."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    load = engine.load() if engine else EngineLoad(0, 0)
    return {"engine_running": load.running, "engine_waiting": load.waiting, "tasks": len(asyncio.all_tasks())}


if __name__ == "__main__":
    sys.exit(main())
