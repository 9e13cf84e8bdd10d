"""Puts the server together and runs it from start to end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from intently_server.admin import AdminPort, StatusReport
from intently_server.bundle import Bundle, begin_verifying, read_bundle, started_once_verified
from intently_server.drain import StopSignal, drain
from intently_server.engine.base import Engine
from intently_server.engine.machine import this_machine
from intently_server.listening import AddressError, Listening
from intently_server.parts import Parts
from intently_server.ready_file import write_ready_file
from intently_server.security import read_security
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings
from intently_server.settings.tuned_on import warn_of_differences
from intently_server.signals import follow_signals, ignore_moves
from intently_server.warmup import golden_tolerance, warm_up

logger = logging.getLogger(__name__)

EngineFactory = Callable[[Settings, Bundle], Awaitable[Engine]]
_Start = Callable[[], Awaitable[Engine]]

_ENGINE_POLL_S = 0.05  # how soon the engine's death is noticed
_DEAD_GRACE_S = 0.5  # time for callers and health watchers to hear of it, and for what is left of the engine to end
_HEARD_S = 0.1  # time for those who watch health to hear of the end before their connection ends too
_SHUTDOWN_S = 10.0  # time for a healthy engine to end by itself


@dataclass(frozen=True, slots=True)
class Membership:
    """What is different for a server that is one of several front ends. Signals and the admin port are not its own.

    Attributes:
        own_addresses: Where it listens too, and nobody else. There is one at least: of an address that others listen on
            too, nobody can say whether gRPC has left it.
        revision: Of the bundle, whose weights another process verifies.
        late: Whether the others serve already: then it listens once it can answer, and no sooner, since the kernel
            gives connections to all who listen.
        on_parts: Given what the server is made of.
        before_serving: Awaited once it can answer, before it says that it is SERVING.
    """

    own_addresses: Sequence[str]
    revision: str
    late: bool
    on_parts: Callable[[Parts], None]
    before_serving: Callable[[], Awaitable[None]]


async def serve(
    settings: Settings,
    start_engine: EngineFactory,
    *,
    on_ready: Callable[[str, Bundle], None] = lambda _address, _bundle: None,
    stop: StopSignal | None = None,
    stream_ages: StreamAges | None = None,
    membership: Membership | None = None,
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
        membership: Of several front ends; None for a server by itself.

    Raises:
        BundleError: if the bundle cannot be served, or the engine gives other answers than it was packaged with.
        AddressError: if the address cannot be listened on.
        SecurityProblem: if certificates or tokens cannot be used.
    """
    stop, stream_ages = stop or StopSignal(), stream_ages or StreamAges()
    if membership is None:
        follow_signals(stop.set, lambda: move_streams(stream_ages))
    security = await asyncio.to_thread(read_security, settings)
    revision = None if membership is None else membership.revision
    bundle = await asyncio.to_thread(read_bundle, settings.bundle, revision)
    verifying = None if membership else await begin_verifying(bundle)
    machine = await asyncio.to_thread(this_machine)
    if membership is None:
        warn_of_differences(settings, bundle.model, machine)
    parts = Parts.of(settings, bundle, stream_ages)
    telemetry = parts.telemetry
    await parts.health.starting()
    start: _Start = partial(start_engine, settings, bundle)
    if verifying is not None:
        start = partial(started_once_verified, verifying, start, _SHUTDOWN_S)
    engine: Engine | None = None
    if membership is not None:
        membership.on_parts(parts)
        if membership.late and (engine := await _started(parts, start, stop, membership)) is None:
            return 0
    server = Listening(parts, security, membership.own_addresses if membership else ())
    address = server.address
    admin = AdminPort(telemetry, StatusReport(telemetry, bundle.model, settings, address))
    admin_address = await open_admin(admin, "" if membership else settings.admin_address)
    await server.start()
    telemetry.start()
    following = asyncio.ensure_future(security.watch())
    try:
        engine = engine or await _started(parts, start, stop, membership)
        if engine is None:
            return 0
        write_ready_file(settings.ready_file, address, admin_address, machine)
        logger.info("serving %s revision %s on %s", bundle.model.name, bundle.model.revision[:12], address)
        on_ready(address, bundle)
        return await _until_the_end(parts, engine, stop)
    finally:
        following.cancel()
        await server.stop(_HEARD_S)
        if engine is not None:
            logger.info("shutting the engine down" if membership is None else "leaving the seat at the engine")
            await engine.shutdown(_SHUTDOWN_S if engine.alive else _DEAD_GRACE_S)
        await admin.close()
        await telemetry.close()
        if membership is None:
            ignore_moves()
        logger.info("stopped")


async def open_admin(admin: AdminPort, wanted: str) -> str:
    """Opens the admin port and says where it is; returns its address, or "" where none is wanted."""
    if not wanted:
        return ""
    try:
        address = await admin.open(wanted)
    except OSError as error:
        raise AddressError(f"cannot listen on {wanted} (--admin-address): {error.strerror}") from error
    logger.info("status page: http://%s/statusz", address)
    return address


async def _started(parts: Parts, start: _Start, stop: StopSignal, membership: Membership | None) -> Engine | None:
    """The engine, once the server serves by it; None if `stop` was set before."""
    if stop.is_set():
        return None
    starting = asyncio.ensure_future(_start(parts, start, membership))
    await _first(starting, stop)
    if stop.is_set() and not starting.done():
        await _give_up(starting)
        return None
    engine = starting.result()
    await parts.health.serving()
    return engine


async def _start(parts: Parts, start: _Start, membership: Membership | None) -> Engine:
    """Starts the engine, checks its answers, and serves."""
    settings = parts.settings
    engine = await start()
    try:
        tolerance = golden_tolerance(settings.dtype, parts.bundle.manifest.quantization.method)
        await warm_up(parts.bundle.model, engine, tolerance)
        if membership is not None:
            await membership.before_serving()
    except BaseException:
        await engine.shutdown(_SHUTDOWN_S)
        raise
    parts.vitals.watch(engine)
    parts.lifecycle.serve(parts.classifier(engine))
    return engine


async def _give_up(starting: "asyncio.Future[Engine]") -> None:
    """A signal came before the engine was ready: it is ended as it is."""
    logger.info("stopping before the engine was ready")
    starting.cancel()
    await asyncio.wait([starting])
    if not starting.cancelled() and starting.exception() is None:
        await starting.result().shutdown(_SHUTDOWN_S)


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


def move_streams(stream_ages: StreamAges) -> None:
    """Tells the streams that are open to end in order, and says how many."""
    count, over_s = stream_ages.move()
    logger.info("moving: telling open streams to end in order, for others to be opened: %d, over %g s", count, over_s)


async def _engine_death(engine: Engine) -> None:
    while engine.alive:  # noqa: ASYNC110  # vLLM tells nobody, it has to be asked
        await asyncio.sleep(_ENGINE_POLL_S)


async def _first(future: "asyncio.Future[Any]", stop: StopSignal) -> None:
    """Returns once the future is done or `stop` is set."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([future, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
