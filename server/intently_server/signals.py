"""What signals do to a server."""

import asyncio
import contextlib
import signal
from collections.abc import Callable


def follow_signals(stop: Callable[[], None], move: Callable[[], None]) -> None:
    """SIGTERM and SIGINT stop the server, SIGUSR1 lets its streams move, from now on.

    Before anything else: what SIGUSR1 does to a process without a handler is to end it.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    # Not by the loop, which can only take a handler away by bringing the default back: see `ignore_moves`.
    signal.signal(signal.SIGUSR1, lambda *_: _soon(loop, move))
    signal.siginterrupt(signal.SIGUSR1, False)


def ignore_moves() -> None:
    """Before the loop ends, and without a moment of the default between: a late SIGUSR1 would change the exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _soon(loop: asyncio.AbstractEventLoop, move: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(move)
