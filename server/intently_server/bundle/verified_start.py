"""Large weights are verified while the engine starts by them, which takes longer: it answers nobody before."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from intently_server.bundle.files import verify_weights
from intently_server.bundle.load import Bundle

_ALONE_S = 0.25  # so that small ones are refused before anything is begun


class _Started(Protocol):
    async def shutdown(self, timeout_s: float) -> None:
        """Ends it."""
        ...


S = TypeVar("S", bound=_Started)


async def begin_verifying(bundle: Bundle) -> "asyncio.Future[None]":
    """Verifies the bundle's weights, in a thread.

    Returns:
        What ends once they are verified, with a BundleError if they are not those of the manifest. Of small weights it
        has ended.

    Raises:
        BundleError: if small ones are not.
    """
    verifying = asyncio.ensure_future(asyncio.to_thread(verify_weights, bundle.path, bundle.manifest))
    verifying.add_done_callback(lambda done: done.cancelled() or done.exception())  # a start that is given up asks not
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(verifying), _ALONE_S)
    return verifying


async def started_once_verified(
    verifying: "asyncio.Future[None]", start: Callable[[], Awaitable[S]], shutdown_s: float
) -> S:
    """What `start` gives, once the weights are verified too. If they are not, or if this is cancelled, the start is
    given up.

    Args:
        verifying: See `begin_verifying`.
        start: Begins what reads them. It ends what it has begun if it is cancelled.
        shutdown_s: Seconds that it has to end, where it had started before it was given up.

    Raises:
        BundleError: names the first file at fault.
        Exception: whatever the start raises.
    """
    starting = asyncio.ensure_future(start())
    both: list[asyncio.Future[Any]] = [starting, verifying]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        if verifying.done():
            verifying.result()
        return await starting
    except BaseException:
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().shutdown(shutdown_s)
        raise
