"""Large weights are verified while the engine starts by them, which takes longer: it answers nobody before."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from intently_server.bundle.files import verify_weights
from intently_server.bundle.load import Bundle

_ALONE_S = 0.25  # so that small ones are refused before anything is begun


class _Started(Protocol):
    async def shutdown(self, timeout_s: float) -> None:
        """Ends it."""
        ...


S = TypeVar("S", bound=_Started)


async def begin_verifying(bundle: Bundle, alone_s: float = _ALONE_S) -> "asyncio.Future[None]":
    """Verifies the bundle's weights, in a thread that nobody waits for.

    Args:
        bundle: Whose they are.
        alone_s: Seconds after which this returns at the latest.

    Returns:
        What ends once they are verified, with a BundleError if they are not those of the manifest. Of small weights it
        has ended.

    Raises:
        BundleError: if small ones are not.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="verify")
    verifying = asyncio.wrap_future(thread.submit(verify_weights, bundle.path, bundle.manifest))
    thread.shutdown(wait=False)
    verifying.add_done_callback(lambda done: done.cancelled() or done.exception())  # a start that is given up asks not
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(verifying), alone_s)
    return verifying


async def started_once_verified(
    verifying: "asyncio.Future[None]", start: Callable[[], Awaitable[S]], shutdown_s: float
) -> S:
    """What `start` gives, once the weights are verified too. If they are not, or if this is cancelled, the start is
    given up. Where both fail it is for the weights: whoever reads damaged ones may fail by them.

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
        if starting.done() and not starting.cancelled() and starting.exception() is not None:
            await asyncio.wait([verifying])
        if verifying.done():
            verifying.result()
        return await starting
    except BaseException:
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().shutdown(shutdown_s)
        raise
