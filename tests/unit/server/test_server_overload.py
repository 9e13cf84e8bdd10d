"""Five times what the engine can answer, in a time that is made up: what admission keeps of goodput and latency.

What refusing costs a process is not in it; tests/bench/overload.py has that.
"""

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from intently_server.admission import Admission, Bounds
from intently_server.errors import IntentlyError, Overloaded
from intently_server.types import Caller, Stages

MAX_WAIT_S = 0.8
STEP_S, BATCH = 0.02, 8  # the engine ends 400 requests a second
TICK_S = 0.005
SECONDS, WARM_UP_S = 10.0, 3.0
CALLERS = 4
PROXY_AT_ONCE = 256


@dataclass(slots=True)
class World:
    """A server's admission and its engine, under an open loop of single calls.

    Args:
        rate: Requests a second.
        proxied: Whether each waits in a proxy first, which has PROXY_AT_ONCE of them under way.
    """

    rate: float
    proxied: bool = False
    now: float = 100.0
    waiting: deque[asyncio.Event] = field(default_factory=deque)
    latencies: list[float] = field(default_factory=list)
    refused: list[Overloaded] = field(default_factory=list)
    most_in_flight: int = 0
    proxy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PROXY_AT_ONCE))

    async def run(self) -> "World":
        """Lives through SECONDS, of which WARM_UP_S are not counted."""
        admission = Admission(Bounds(1024, max_wait_s=MAX_WAIT_S), lambda: self.now)
        tasks: list[asyncio.Task[None]] = []
        chance, began, step_at = random.Random(0), self.now, self.now + STEP_S
        due = began + chance.expovariate(self.rate)
        while self.now < began + SECONDS:
            while due <= self.now:
                counted = self.now >= began + WARM_UP_S
                tasks.append(asyncio.create_task(self._ask(admission, str(len(tasks) % CALLERS), counted=counted)))
                due += chance.expovariate(self.rate)
            await _settle()
            self.most_in_flight = max(self.most_in_flight, admission.load().in_flight)
            self.now += TICK_S
            if self.now >= step_at - 1e-9:
                step_at += STEP_S
                for _ in range(min(BATCH, len(self.waiting))):
                    self.waiting.popleft().set()
                await _settle()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return self

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return len(self.latencies) / (SECONDS - WARM_UP_S)

    async def _ask(self, admission: Admission, caller: str, *, counted: bool) -> None:
        entered = self.now
        async with self.proxy if self.proxied else contextlib.nullcontext():
            await self._ask_server(admission, caller, entered, counted=counted)

    async def _ask_server(self, admission: Admission, caller: str, entered: float, *, counted: bool) -> None:
        try:
            with admission.enter(Caller(caller, waited_s=self.now - entered)) as place:
                await place.turn(10, Stages(entered))
                done = asyncio.Event()
                self.waiting.append(done)
                await done.wait()
        except Overloaded as error:
            self.refused.append(error)
            return
        except IntentlyError:
            return
        if counted:
            self.latencies.append(self.now - entered)


async def _settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("multiple", [2.0, 5.0])
async def test_goodput_and_latency_are_kept_under_overload(multiple: float, proxied: bool) -> None:
    sustained = BATCH / STEP_S
    best = await World(0.95 * sustained).run()
    over = await World(multiple * sustained, proxied).run()

    assert over.goodput >= 0.9 * max(best.goodput, sustained)
    assert sorted(over.latencies)[len(over.latencies) * 99 // 100] <= MAX_WAIT_S
    assert over.most_in_flight <= 1024
    assert over.refused
