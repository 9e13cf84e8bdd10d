"""The way down: how a server that was told to stop ends without a failed call."""

import asyncio
import logging
from collections.abc import Awaitable

from intently_server.health import Health
from intently_server.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

_HURRIED_S = 1.0  # what calls in flight have left once the server was told twice
_QUIET_S = 0.3  # without a new call, after which callers are taken to have gone elsewhere
_LONGEST_UNREST_S = 3.0  # after which the server ends though new calls still come
_POLL_S = 0.02


class StopSignal:
    """Tells the server to stop; told again, it hurries."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._hurry = asyncio.Event()

    def set(self) -> None:
        """Tells it."""
        (self._hurry if self._told.is_set() else self._told).set()

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._told.is_set()

    async def wait(self) -> None:
        """Returns once it was told."""
        await self._told.wait()

    def is_hurried(self) -> bool:
        """Whether it was told twice."""
        return self._hurry.is_set()

    async def hurried(self) -> None:
        """Returns once it was told twice."""
        await self._hurry.wait()


async def drain(lifecycle: Lifecycle, health: Health, stop: StopSignal, *, delay_s: float, timeout_s: float) -> None:
    """Brings a serving server to where nothing is in flight, or where what is may be cut off.

    In this order: not ready, but still answering all, until proxies have noticed; then streams are told to end and new
    calls are refused, until what is in flight is done and no new calls come: those that gRPC has when it stops, and
    that no handler has begun, end with CANCELLED, which callers do not take for a server's end.

    Args:
        lifecycle: Knows what is in flight.
        health: Tells proxies.
        stop: Told again, it ends the first phase at once, and leaves calls in flight a second.
        delay_s: How long the first phase lasts.
        timeout_s: How long the second may last.
    """
    logger.info("leaving: not ready any more, answering for %g s more; %d calls in flight", delay_s, lifecycle.calls)
    lifecycle.leave()
    await health.draining()
    await _any_within(delay_s, stop.hurried())
    timeout_s = _HURRIED_S if stop.is_hurried() else timeout_s
    logger.info("draining: refusing new calls; %d in flight have %g s at most", lifecycle.calls, timeout_s)
    lifecycle.drain(timeout_s)
    await _any_within(timeout_s, lifecycle.wait_idle(), stop.hurried())
    if lifecycle.calls and stop.is_hurried():
        logger.info("hurried: %d calls in flight have %g s at most", lifecycle.calls, _HURRIED_S)
        lifecycle.hurry(_HURRIED_S)
        await _any_within(_HURRIED_S, lifecycle.wait_idle())
    cut_off = lifecycle.calls
    if cut_off:
        logger.warning("%d calls had not finished and are cut off", cut_off)
    else:
        await _any_within(_LONGEST_UNREST_S, _quiet(lifecycle), stop.hurried())
    lifecycle.stop()
    logger.info("stopping: %s", "calls were cut off" if cut_off else "nothing is in flight")


async def _quiet(lifecycle: Lifecycle) -> None:
    while lifecycle.quiet_s < _QUIET_S:  # noqa: ASYNC110  # silence is no event
        await asyncio.sleep(_POLL_S)


async def _any_within(seconds: float, *awaitables: Awaitable[None]) -> None:
    """Returns once one of them is done, or the time is over."""
    futures = [asyncio.ensure_future(each) for each in awaitables]
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for future in futures:
        future.cancel()
