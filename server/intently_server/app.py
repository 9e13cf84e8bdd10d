"""Puts the server together and runs it from start to end."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from intently_server.admin import AdminPort, StatusReport
from intently_server.bundle import Bundle, load_bundle
from intently_server.drain import StopSignal, drain
from intently_server.engine.base import Engine
from intently_server.engine.machine import Machine, this_machine
from intently_server.listening import AddressError, Listening
from intently_server.parts import Parts
from intently_server.security import read_security
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings
from intently_server.settings.tuned_on import warn_of_differences
from intently_server.warmup import golden_tolerance, warm_up

logger = logging.getLogger(__name__)

EngineFactory = Callable[[Settings, Bundle], Awaitable[Engine]]

_ENGINE_POLL_S = 0.05  # how soon the engine's death is noticed
_DEAD_GRACE_S = 0.5  # time for callers and health watchers to hear of it, and for what is left of the engine to end
_HEARD_S = 0.1  # time for those who watch health to hear of the end before their connection ends too
_SHUTDOWN_S = 10.0  # time for a healthy engine to end by itself


async def serve(
    settings: Settings,
    start_engine: EngineFactory,
    *,
    on_ready: Callable[[str, Bundle], None] = lambda _address, _bundle: None,
    stop: StopSignal | None = None,
    stream_ages: StreamAges | None = None,
) -> int:
    """Serves until SIGTERM, SIGINT, `stop`, or the engine's death. Returns the exit code: 0, or 1 after that death.

    Health and the port are up before the engine is, so that probes see NOT_SERVING and callers UNAVAILABLE meanwhile.
    SIGUSR1 lets the streams that are open move, at any time.

    Args:
        settings: How.
        start_engine: Starts the engine for the bundle.
        on_ready: Called with the address once the server is SERVING.
        stop: Ends the server when set, and hurries it when set again; signals do the same.
        stream_ages: Lets the streams that are open move; SIGUSR1 does the same.

    Raises:
        BundleError: if the bundle cannot be served, or the engine gives other answers than it was packaged with.
        AddressError: if the address cannot be listened on.
        SecurityProblem: if certificates or tokens cannot be used.
    """
    stop, stream_ages = stop or StopSignal(), stream_ages or StreamAges()
    _follow_signals(stop, stream_ages)
    security = await asyncio.to_thread(read_security, settings)
    bundle = await asyncio.to_thread(load_bundle, settings.bundle)
    machine = await asyncio.to_thread(this_machine)
    warn_of_differences(settings, bundle.model, machine)
    parts = Parts.of(settings, bundle, stream_ages)
    telemetry = parts.telemetry
    await parts.health.starting()
    server = Listening(parts, security)
    address = server.address
    admin = AdminPort(telemetry, StatusReport(telemetry, bundle.model, settings, address))
    admin_address = await _open_admin(admin, settings.admin_address)
    await server.start()
    telemetry.start()
    following = asyncio.ensure_future(security.watch())
    engine: Engine | None = None
    try:
        if stop.is_set():
            return 0
        starting = asyncio.ensure_future(_start(parts, start_engine))
        await _first(starting, stop)
        if stop.is_set() and not starting.done():
            return await _give_up(starting)
        engine = starting.result()
        await parts.health.serving()
        _write_ready_file(settings.ready_file, address, admin_address, machine)
        logger.info("serving %s revision %s on %s", bundle.model.name, bundle.model.revision[:12], address)
        on_ready(address, bundle)
        return await _until_the_end(parts, engine, stop)
    finally:
        following.cancel()
        await server.stop(_HEARD_S)
        if engine is not None:
            logger.info("shutting the engine down")
            await engine.shutdown(_SHUTDOWN_S if engine.alive else _DEAD_GRACE_S)
        await admin.close()
        await telemetry.close()
        _ignore_moves()
        logger.info("stopped")


async def _open_admin(admin: AdminPort, wanted: str) -> str:
    """Opens the admin port and says where it is; returns its address, or "" where none is wanted."""
    if not wanted:
        return ""
    try:
        address = await admin.open(wanted)
    except OSError as error:
        raise AddressError(f"cannot listen on {wanted} (--admin-address): {error.strerror}") from error
    logger.info("status page: http://%s/statusz", address)
    return address


async def _start(parts: Parts, start_engine: EngineFactory) -> Engine:
    """Starts the engine, checks its answers, and lets the lifecycle serve."""
    settings = parts.settings
    engine = await start_engine(settings, parts.bundle)
    try:
        tolerance = golden_tolerance(settings.dtype, parts.bundle.manifest.quantization.method)
        await warm_up(parts.bundle.model, engine, tolerance)
    except BaseException:
        await engine.shutdown(_SHUTDOWN_S)
        raise
    parts.telemetry.watch(engine)
    parts.lifecycle.serve(parts.classifier(engine))
    return engine


async def _give_up(starting: "asyncio.Future[Engine]") -> int:
    """A signal came before the engine was ready: it is ended as it is."""
    logger.info("stopping before the engine was ready")
    starting.cancel()
    await asyncio.wait([starting])
    if not starting.cancelled() and starting.exception() is None:
        await starting.result().shutdown(_SHUTDOWN_S)
    return 0


async def _until_the_end(parts: Parts, engine: Engine, stop: StopSignal) -> int:
    ending = asyncio.ensure_future(_stopped(parts, stop))
    death = asyncio.ensure_future(_engine_death(engine))
    await asyncio.wait([ending, death], return_when=asyncio.FIRST_COMPLETED)
    death.cancel()
    if ending.done():
        ending.result()
        return 0
    ending.cancel()
    logger.error("the engine has died; the server ends")
    parts.lifecycle.engine_died(_DEAD_GRACE_S)
    await parts.health.dead()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(parts.lifecycle.wait_idle(), _DEAD_GRACE_S)
    await asyncio.sleep(_HEARD_S)  # calls that gRPC has, and that no handler has begun, hear of it too
    return 1


async def _stopped(parts: Parts, stop: StopSignal) -> None:
    """Returns once the server was told to stop and has drained."""
    await stop.wait()
    settings = parts.settings
    await drain(parts.lifecycle, parts.health, stop, delay_s=settings.drain_delay, timeout_s=settings.drain_timeout)


def _follow_signals(stop: StopSignal, stream_ages: StreamAges) -> None:
    """Before anything else: what SIGUSR1 does to a process without a handler is to end it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Not by the loop, which can only take a handler away by bringing the default back: see `_ignore_moves`.
    signal.signal(signal.SIGUSR1, lambda *_: _move_soon(loop, stream_ages))
    signal.siginterrupt(signal.SIGUSR1, False)


def _move_soon(loop: asyncio.AbstractEventLoop, stream_ages: StreamAges) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(_move_streams, stream_ages)


def _move_streams(stream_ages: StreamAges) -> None:
    count, over_s = stream_ages.move()
    logger.info("moving: telling open streams to end in order, for others to be opened: %d, over %g s", count, over_s)


def _ignore_moves() -> None:
    """Before the loop ends, and without a moment of the default between: a late SIGUSR1 would change the exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


async def _engine_death(engine: Engine) -> None:
    while engine.alive:  # noqa: ASYNC110  # vLLM tells nobody, it has to be asked
        await asyncio.sleep(_ENGINE_POLL_S)


async def _first(future: "asyncio.Future[Any]", stop: StopSignal) -> None:
    """Returns once the future is done or `stop` is set."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([future, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _write_ready_file(path: Path | None, address: str, admin_address: str, machine: Machine) -> None:
    if path is None:
        return
    ready = {"address": address, "admin": admin_address, "pid": os.getpid()}
    ready |= {"machine": machine.hardware, "vllm": machine.vllm}
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(ready), encoding="utf-8")
    partial.replace(path)
