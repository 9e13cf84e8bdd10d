"""The first process of a server with several front ends.

It has the port's name, the engine, the signals, the ready file and the admin port, and answers no calls.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from intently_server.admin import AdminPort, StatusReport
from intently_server.app import open_admin
from intently_server.bundle import Bundle, begin_verifying, read_bundle, started_once_verified
from intently_server.drain import StopSignal
from intently_server.engine.machine import this_machine
from intently_server.engine.process_guard import ProcessGuard, child_processes
from intently_server.engine.seat import Seats
from intently_server.front_ends.gathered import Gathered
from intently_server.front_ends.keeping import Keeper
from intently_server.front_ends.living import FrontEnds, Start
from intently_server.front_ends.part import part_of
from intently_server.front_ends.patience import Patience
from intently_server.front_ends.process import FrontEnd
from intently_server.front_ends.reservation import Reservation
from intently_server.front_ends.shared_engine import Core, SharedEngine
from intently_server.front_ends.starting import begin
from intently_server.front_ends.words import Order
from intently_server.ready_file import write_ready_file
from intently_server.security import read_security
from intently_server.settings import Settings
from intently_server.settings.tuned_on import warn_of_differences
from intently_server.signals import follow_signals, ignore_moves

logger = logging.getLogger(__name__)

_REFRESHED_EVERY_S = 1.0  # what a front end that is killed had counted since then is lost
_ENDS_WITHIN_S = 10.0  # beyond what the drain may take
_DEAD_GRACE_S = 3.0  # for front ends to tell their callers of the engine's death
_SHUTDOWN_S = 10.0
_DEAD_SHUTDOWN_S = 0.5  # an engine that has failed lives on for seconds, to tell that to seats that nobody took


async def serve_together(
    settings: Settings,
    engine: SharedEngine,
    *,
    on_ready: Callable[[str, Bundle], None] = lambda _address, _bundle: None,
    patience: Patience,
) -> int:
    """Serves as `app.serve` does, by several processes that share one engine.

    Args:
        settings: How; of the whole server.
        engine: How it is started and reached.
        on_ready: Called with the address once the server is SERVING.
        patience: With front ends.

    Raises:
        BundleError, AddressError, SecurityProblem: as `app.serve` does.
        SeatsProblem: if there is no place for the sockets between front ends and engine.
        FrontEndProblem: if one of these came up in a front end.
        StartFailed: if one ended for another reason before all served.
    """
    return await _FirstProcess(settings, engine, patience).run(on_ready)


class _FirstProcess:
    def __init__(self, settings: Settings, engine: SharedEngine, patience: Patience) -> None:
        self._settings = settings
        self._engine = engine
        self._patience = patience
        self._stop = StopSignal()
        self._front_ends: FrontEnds | None = None
        self._launching: asyncio.Future[Core] | None = None
        self._shutdown_s = _SHUTDOWN_S

    async def run(self, on_ready: Callable[[str, Bundle], None]) -> int:
        settings = self._settings
        follow_signals(self._told_to_stop, lambda: self._tell(Order.MOVE))
        async with contextlib.AsyncExitStack() as at_end:
            at_end.callback(logger.info, "stopped")
            at_end.callback(ignore_moves)
            guard = ProcessGuard()
            at_end.callback(self._close, guard)
            at_end.callback(asyncio.ensure_future(guard.keep()).cancel)
            await asyncio.to_thread(read_security, settings)
            bundle = await asyncio.to_thread(read_bundle, settings.bundle)
            verifying = await begin_verifying(bundle)
            machine = await asyncio.to_thread(this_machine)
            warn_of_differences(settings, bundle.model, machine)
            shared = _reserve(settings.address, at_end)
            own = [_reserve(address, at_end) for address in settings.front_end_addresses]
            seats = Seats(settings.front_ends, self._patience.successors)
            at_end.callback(seats.remove)
            gathered = Gathered(settings, bundle.model)
            at_end.push_async_callback(gathered.close)
            admin = AdminPort(
                gathered.telemetry, StatusReport(gathered.telemetry, bundle.model, settings, shared), gathered.refresh
            )
            at_end.push_async_callback(admin.close)
            admin_address = await open_admin(admin, settings.admin_address)
            gathered.telemetry.start()
            at_end.callback(asyncio.ensure_future(_often(gathered.refresh)).cancel)
            how = Start(part_of(settings, shared), bundle.model.revision, own, self._engine)
            launch = partial(self._engine.launch, settings, bundle, seats.all, guard)
            core = await self._begin(
                how, partial(started_once_verified, verifying, launch, _SHUTDOWN_S), seats, gathered, guard, at_end
            )
            if core is None:
                return 0
            write_ready_file(settings.ready_file, shared, admin_address, machine, own)
            logger.info("serving %s by %d front ends on %s", bundle.model.name, settings.front_ends, shared)
            on_ready(shared, bundle)
            return await self._until_the_end(core)

    async def _begin(
        self,
        how: Start,
        launch: Callable[[], Awaitable[Core]],
        seats: Seats,
        gathered: Gathered,
        guard: ProcessGuard,
        at_end: contextlib.AsyncExitStack,
    ) -> Core | None:
        """The engine, once all front ends serve by it; None if the server was told to stop before."""
        if self._stop.is_set():
            return None
        guard.remove(seats.folder)

        def watch(front_end: FrontEnd) -> None:
            guard.watch([front_end.process])
            gathered.watch(front_end)

        self._front_ends = FrontEnds(how, seats, watch)
        at_end.push_async_callback(self._end, self._front_ends, guard)
        for place in range(self._settings.front_ends):
            self._front_ends.start(place, late=False)
        self._launching = asyncio.ensure_future(launch())
        return await begin(self._front_ends, self._launching, self._stop)

    async def _until_the_end(self, core: Core) -> int:
        """The exit code, once all front ends have ended."""
        settings, front_ends = self._settings, self._front_ends
        if front_ends is None:
            raise RuntimeError("there are no front ends")
        keeper = Keeper(front_ends, core, self._patience)
        stopped = await keeper.until_stopped(self._stop)
        if stopped and not keeper.engine_died():
            await keeper.until_gone(settings.drain_delay + settings.drain_timeout + _ENDS_WITHIN_S, self._stop)
        if keeper.engine_died():
            logger.error("the engine has died; the server ends")
            await core.tell_of_death([each.seat for each in front_ends.living if not each.ended.done()])
            await front_ends.gone(_DEAD_GRACE_S)
            self._shutdown_s = _DEAD_SHUTDOWN_S
            return 1
        await front_ends.gone(0.0)
        return 0 if stopped else 1

    async def _end(self, front_ends: FrontEnds, guard: ProcessGuard) -> None:
        """Ends what is left: front ends, then the engine, whether it has started or not."""
        await front_ends.kill()
        launching = self._launching
        if launching is not None:
            launching.cancel()
            await asyncio.wait([launching])
            if not launching.cancelled() and launching.exception() is None:
                logger.info("shutting the engine down")
                await launching.result().shutdown(self._shutdown_s)
        guard.watch(child_processes())  # of an engine that was still starting

    def _close(self, guard: ProcessGuard) -> None:
        """Not where the engine's start failed or was given up, which may still start processes: that guard ends them,
        and itself, once this process has ended.
        """
        launching = self._launching
        if launching is None or (not launching.cancelled() and launching.exception() is None):
            guard.close()

    def _told_to_stop(self) -> None:
        self._stop.set()
        self._tell(Order.STOP)

    def _tell(self, order: Order) -> None:
        if self._front_ends is not None:
            self._front_ends.tell(order)


def _reserve(address: str, at_end: contextlib.AsyncExitStack) -> str:
    """Holds the address until the end; returns it with the port that it has."""
    held = Reservation(address)
    at_end.callback(held.close)
    return held.address


async def _often(refresh: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(_REFRESHED_EVERY_S)
        await refresh()
