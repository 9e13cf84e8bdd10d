"""Front ends under more calls than their engine can answer, in a time that is made up.

What refusing costs a process is not in it.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from intently_server.admission import Admission, Bounds
from intently_server.errors import IntentlyError, Overloaded
from intently_server.types import Caller, Stages

MAX_WAIT_S = 0.8
STEP_S, BATCH = 0.02, 8
SUSTAINED = BATCH / STEP_S  # requests a second
SECONDS, WARM_UP_S = 10.0, 3.0
_TICK_S = 0.005
_CALLERS = 4
_PROXY_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a call that began `entered_s` after the world did."""

    front_end: int
    entered_s: float
    took_s: float


@dataclass(slots=True)
class World:
    """The admission of each front end, and the engine that they share, under an open loop of single calls.

    Args:
        rate: Requests a second, spread evenly over front ends that are awake.
        proxied: Whether each waits in a proxy first, which has so many of them under way.
        front_ends: How many, each with a part of the bounds.
        alone_s: For how long the first of them alone is called.
    """

    rate: float
    proxied: bool = False
    front_ends: int = 1
    alone_s: float = 0.0
    now: float = 100.0
    waiting: deque[asyncio.Event] = field(default_factory=deque)
    answers: list[Answer] = field(default_factory=list)
    refused: list[Overloaded] = field(default_factory=list)
    most_in_flight: int = 0
    proxy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PROXY_AT_ONCE))

    async def run(self) -> "World":
        """Lives through SECONDS."""
        count = self.front_ends
        bounds = Bounds(1024 // count, 1_000_000 // count, 256 // count, MAX_WAIT_S)
        parts = [Admission(bounds, lambda: self.now) for _ in range(count)]
        tasks: list[asyncio.Task[None]] = []
        began, step_at = self.now, self.now + STEP_S
        calls = self._calls()
        due, front_end = next(calls)
        while self.now < began + SECONDS:
            while began + due <= self.now:
                caller = str(len(tasks) // count % _CALLERS)
                tasks.append(asyncio.create_task(self._ask(parts[front_end], front_end, caller, began)))
                due, front_end = next(calls)
            await _settle()
            self.most_in_flight = max(self.most_in_flight, sum(part.load().in_flight for part in parts))
            self.now += _TICK_S
            if self.now >= step_at - 1e-9:
                step_at += STEP_S
                for _ in range(min(BATCH, len(self.waiting))):
                    self.waiting.popleft().set()
                await _settle()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return self

    def latencies(self, since_s: float = WARM_UP_S) -> list[float]:
        """Of the calls that began then or later, in order."""
        return sorted(answer.took_s for answer in self.answers if answer.entered_s >= since_s)

    def goodput(self, since_s: float = WARM_UP_S, until_s: float = SECONDS) -> float:
        """Answers a second to calls that began between these."""
        count = sum(since_s <= answer.entered_s < until_s for answer in self.answers)
        return count / (until_s - since_s)

    def _calls(self) -> Iterator[tuple[float, int]]:
        """When each call comes, and to which front end."""
        chance, due, number = random.Random(0), 0.0, 0
        while True:
            due += chance.expovariate(self.rate)
            number += 1
            yield due, number % self.front_ends if due >= self.alone_s else 0

    async def _ask(self, admission: Admission, front_end: int, caller: str, began: float) -> None:
        entered = self.now
        async with self.proxy if self.proxied else contextlib.nullcontext():
            if await self._is_answered(admission, caller, entered):
                self.answers.append(Answer(front_end, entered - began, self.now - entered))

    async def _is_answered(self, admission: Admission, caller: str, entered: float) -> bool:
        try:
            with admission.enter(Caller(caller, waited_s=self.now - entered)) as place:
                await place.turn(10, Stages(entered))
                done = asyncio.Event()
                self.waiting.append(done)
                await done.wait()
        except Overloaded as error:
            self.refused.append(error)
            return False
        except IntentlyError:
            return False
        return True


async def _settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)
