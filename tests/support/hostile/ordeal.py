"""Puts a server through an attack, and looks at what it left behind."""

import asyncio
import time
from dataclasses import dataclass

from support.hostile.attack import Attack
from support.hostile.normal import Latency, NormalCaller
from support.in_memory_server import InMemoryServer, Inside

_SETTLED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What an attack left behind.

    Attributes:
        cold: What the server held before the first of these attacks.
        before, after: What it held before the rounds that count and after them, once it had come to rest.
        calm, during, afterwards: Latency of a normal caller.
        errors: What the server logged as a fault meanwhile.
    """

    cold: Inside
    before: Inside
    after: Inside
    calm: Latency
    during: Latency
    afterwards: Latency
    errors: tuple[str, ...]

    @property
    def growth(self) -> float:
        """Of resident memory, as a share of what it was before the rounds that count: what a leak shows in."""
        return self.after.rss / self.before.rss - 1

    @property
    def growth_from_cold(self) -> float:
        """The same, of what it was before the first attack: what the attack costs for good, leak or not."""
        return self.after.rss / self.cold.rss - 1


class Ordeal:
    """Attacks one server, again and again.

    Args:
        normal: Calls it before, meanwhile and after.
        calls: How often, each time.
    """

    def __init__(self, server: InMemoryServer, normal: NormalCaller, calls: int) -> None:
        self._server = server
        self._normal = normal
        self._calls = calls

    async def go_through(self, attack: Attack, times: int, *, warm_ups: int = 1, rounds: int = 2) -> Aftermath:
        """Attacks `rounds` times, after `warm_ups` times to fill the pools that allocators keep.

        Python's and glibc's allocators do not return all that they took at an attack's peak, but use it again at the
        next. Warm-ups tell it from a leak, which grows with each attack; `growth_from_cold` says how much it is.

        Raises:
            AssertionError: if the normal caller gets wrong answers, or if what the server holds does not go back.
            AioRpcError: if it gets none.
        """
        logged = len(self._server.errors_logged())
        at_rest = self._server.inside()
        for _ in range(warm_ups):
            await asyncio.gather(self._normal.calls(self._calls), attack.run(self._server.address, times))
        calm = await self._normal.calls(self._calls)
        before = await at_rest_again(self._server, at_rest)
        during = calm
        for _ in range(rounds):
            during, _ = await asyncio.gather(self._normal.calls(self._calls), attack.run(self._server.address, times))
        afterwards = await self._normal.calls(self._calls)
        after = await at_rest_again(self._server, at_rest)
        return Aftermath(at_rest, before, after, calm, during, afterwards, tuple(self._server.errors_logged()[logged:]))


async def at_rest_again(server: InMemoryServer, at_rest: Inside) -> Inside:
    """What the server holds once it holds no more than it did: its connections end after their callers' ends.

    Raises:
        AssertionError: if it goes on holding more.
    """
    give_up = time.monotonic() + _SETTLED_WITHIN_S
    while True:
        inside = await asyncio.to_thread(server.inside)
        if inside.fds <= at_rest.fds and inside.tasks <= at_rest.tasks and not inside.engine:
            return inside
        assert time.monotonic() < give_up, f"held {at_rest} at rest, and now holds {inside}"
        await asyncio.sleep(0.1)
