"""The way up: from front ends that were started to front ends that all serve."""

import asyncio
from collections.abc import Sequence
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
    """The engine, once all front ends serve by it; None if `stop` was set before they were told to.

    None serves before all are ready, so that each has its share of the load from the first call on.

    Raises:
        FrontEndProblem, StartFailed: if one of them, or the engine, ends before.
        Exception: whatever starting the engine raises.
    """
    stopping: asyncio.Future[None] = asyncio.ensure_future(stop.wait())
    ends = [each.ended for each in front_ends.living]
    try:
        await _first(launching, stopping, *ends)
        if stop.is_set():
            return None
        _check(front_ends)
        core = launching.result()
        front_ends.tell(Order.ATTACH)
        await _all([each.ready for each in front_ends.living], core, stopping, *ends)
        if stop.is_set():
            return None
        if not core.alive:
            raise StartFailed("the engine has died before the front ends served; its log says why")
        _check(front_ends)
        front_ends.tell(Order.SERVE)
        # From here on callers may be answered: an end is the keeper's, who lets the others drain.
        await _all([each.serving for each in front_ends.living], core, stopping)
    finally:
        stopping.cancel()
    return core


def _check(front_ends: FrontEnds) -> None:
    """Raises if one has ended."""
    ended = [each for each in front_ends.living if each.ended.done()]
    told = next((each.failed for each in ended if each.failed is not None), None)
    if told is not None and told.unusable:
        raise FrontEndProblem(told.reason)
    if ended:
        raise StartFailed(f"front end {ended[0].place} could not begin: {told.reason if told else 'it has died'}")


async def _all(wanted: "Sequence[asyncio.Future[None]]", core: Core, *others: "asyncio.Future[Any]") -> None:
    """Returns once all that is wanted is done, or one of the others is, or the engine has died."""
    together: asyncio.Future[Any] = asyncio.ensure_future(asyncio.wait(wanted))  # which cancels none of them
    dying = asyncio.ensure_future(_death(core))
    await _first(together, dying, *others)
    together.cancel()
    dying.cancel()


async def _death(core: Core) -> None:
    """Returns once the engine has died: those who wait for its first word would wait for minutes."""
    while core.alive:  # noqa: ASYNC110  # vLLM tells nobody, it has to be asked
        await asyncio.sleep(_POLL_S)


async def _first(*futures: "asyncio.Future[Any]") -> None:
    """Returns once one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
