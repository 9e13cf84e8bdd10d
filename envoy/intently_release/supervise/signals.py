"""SIGTERM, SIGINT and the end of the terminal as events: told once, all ends in order; told again, it hurries."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def on_signals() -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Two events, while the block runs: the first is set by the first signal, the second by any further one.

    SIGHUP counts unless it was ignored before, as nohup does.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    numbers = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    try:
        yield stop, hurry
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
