"""Wakes those who wait for something to change."""

import asyncio


class Changes:
    """Lets several tasks sleep until anything has changed. They look for themselves whether it concerns them."""

    def __init__(self) -> None:
        self._sleepers: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wakes all who sleep."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
        self._sleepers.clear()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Sleeps until something changes, or so many seconds have passed."""
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=timeout_s)
        finally:
            self._sleepers.discard(sleeper)
