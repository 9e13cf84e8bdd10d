"""The way up: from front ends that were started to front ends that all serve."""

import asyncio
from typing import Any

from intently_server.drain import StopSignal
from intently_server.front_ends.living import FrontEnds
from intently_server.front_ends.shared_engine import Core
from intently_server.front_ends.words import Order

_POLL_S = 0.05


class FrontEndProblem(Exception):
    """A front end cannot begin, by the fault of what it was given; the text says what is wrong."""


class StartFailed(Exception):
    """A front end, or the engine, has ended before all could serve; its log says why."""


async def begin(front_ends: FrontEnds, launching: "asyncio.Future[Core]", stop: StopSignal) -> Core | None:
    """The engine, once all front ends were told to serve by it; None if `stop` was set before.

    None serves before all are ready, so that each has its share of the load from the first call on.

    Raises:
        FrontEndProblem, StartFailed: if one of them, or the engine, ends before.
        Exception: whatever starting the engine raises.
    """
    stopping = asyncio.ensure_future(stop.wait())
    ends = [each.ended for each in front_ends.living]
    try:
        await _first(launching, stopping, *ends)
        if stop.is_set():
            return None
        _check(front_ends)
        core = launching.result()
        front_ends.tell(Order.ATTACH)
        ready = asyncio.gather(*(each.ready for each in front_ends.living))
        dying = asyncio.ensure_future(_death(core))
        await _first(ready, stopping, dying, *ends)
        dying.cancel()
        if not ready.done():
            ready.cancel()
    finally:
        stopping.cancel()
    if stop.is_set():
        return None
    if not core.alive:
        raise StartFailed("the engine has died before the front ends served; its log says why")
    _check(front_ends)
    front_ends.tell(Order.SERVE)
    return core


def _check(front_ends: FrontEnds) -> None:
    """Raises if one has ended."""
    ended = [each for each in front_ends.living if each.ended.done()]
    told = next((each.failed for each in ended if each.failed is not None), None)
    if told is not None and told.unusable:
        raise FrontEndProblem(told.reason)
    if ended:
        raise StartFailed(f"front end {ended[0].place} could not begin: {told.reason if told else 'it has died'}")


async def _death(core: Core) -> None:
    """Returns once the engine has died: those who wait for its first word would wait for minutes."""
    while core.alive:  # noqa: ASYNC110  # vLLM tells nobody, it has to be asked
        await asyncio.sleep(_POLL_S)


async def _first(*futures: "asyncio.Future[Any]") -> None:
    """Returns once one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
