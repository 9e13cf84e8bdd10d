"""Front ends with an engine that works in steps, under calls that come by chance, in a time that is made up."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from intently_server.admission import Admission, Bounds
from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Caller, Stages
from support.made_up_time import MadeUpTime

MAX_WAIT_S = 1.0
_HANDED_OVER_S = 0.001
_CALLERS = 4


@dataclass(slots=True)
class SteppingEngine:
    """Takes what it holds as a step, and ends all of that when the step ends.

    Args:
        step_s: Seconds that a step takes, by how many are in it and by when it begins.
        most: In a step.
        answer_s: Seconds from one answer of a step to the next.
    """

    step_s: Callable[[int, float], float]
    most: int = 256
    answer_s: float = 0.0002
    _held: list[asyncio.Event] = field(default_factory=list)
    _come: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Steps, until it is cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            await self._come.wait()
            await asyncio.sleep(_HANDED_OVER_S)
            batch, self._held = self._held[: self.most], self._held[self.most :]
            if not self._held:
                self._come.clear()
            await asyncio.sleep(self.step_s(len(batch), loop.time() - began))
            for done in batch:
                done.set()
                await asyncio.sleep(self.answer_s)

    async def answer(self) -> None:
        """Returns when the step ends that this request came into. It leaves if it is cancelled before that begins."""
        done = asyncio.Event()
        self._held.append(done)
        self._come.set()
        try:
            await done.wait()
        except asyncio.CancelledError:
            if done in self._held:
                self._held.remove(done)
            raise


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of calls.

    Attributes:
        answers: When each call that was answered came, and in how many seconds it was.
        refused: When each came that was not.
        expired: When each came whose deadline passed before it was either.
    """

    answers: list[tuple[float, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    expired: list[float] = field(default_factory=list)

    def goodput(self, since_s: float, until_s: float) -> float:
        """Answers a second to calls that came between these."""
        return sum(since_s <= came < until_s for came, _ in self.answers) / (until_s - since_s)

    def p99(self, since_s: float, until_s: float) -> float:
        """Seconds, of the answers to calls that came between these."""
        took = sorted(took for came, took in self.answers if since_s <= came < until_s)
        return took[len(took) * 99 // 100]


def outcome(
    engine: SteppingEngine,
    phases: Sequence[tuple[float, float]],
    front_ends: int = 1,
    seed: int = 0,
    timeout_s: float | None = None,
    batch: int = 0,
) -> Outcome:
    """What becomes of calls that come at a rate for some seconds, then at the next one; of so long a deadline each.
    Beside them one more caller always has so many prompts of a batch in flight, which may wait.
    """
    with asyncio.Runner(loop_factory=MadeUpTime) as runner:
        return runner.run(_live(engine, phases, front_ends, random.Random(seed), timeout_s, batch))


async def _live(
    engine: SteppingEngine,
    phases: Sequence[tuple[float, float]],
    front_ends: int,
    chance: random.Random,
    timeout_s: float | None,
    batch: int,
) -> Outcome:
    loop = asyncio.get_running_loop()
    began, seen = loop.time(), Outcome()
    bounds = Bounds(1024 // front_ends, 1_000_000, 256 // front_ends, MAX_WAIT_S, 32 // front_ends)
    parts = [Admission(bounds, loop.time) for _ in range(front_ends)]
    works = asyncio.create_task(engine.run())
    calls: list[asyncio.Task[None]] = []
    items = [asyncio.create_task(_ask_again(engine, parts[number % front_ends])) for number in range(batch)]
    until = began
    for seconds, rate in phases:
        due, until = until, until + seconds
        while (due := due + chance.expovariate(rate)) < until:
            await asyncio.sleep(due - loop.time())
            deadline = None if timeout_s is None else loop.time() + timeout_s
            caller = Caller(str(len(calls) // front_ends % _CALLERS), deadline=deadline)
            calls.append(asyncio.create_task(_ask(engine, parts[len(calls) % front_ends], caller, began, seen)))
    await asyncio.gather(*calls)
    for each in (works, *items):
        each.cancel()
    return seen


async def _ask(engine: SteppingEngine, admission: Admission, caller: Caller, began: float, seen: Outcome) -> None:
    came = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(caller.deadline):
            with admission.enter(caller) as place:
                await place.turn(10, Stages(came))
                await engine.answer()
    except (Overloaded, DeadlineUnmeetable):
        seen.refused.append(came - began)
    except TimeoutError:
        seen.expired.append(came - began)
    else:
        seen.answers.append((came - began, asyncio.get_running_loop().time() - came))


async def _ask_again(engine: SteppingEngine, admission: Admission) -> None:
    """One prompt of a batch after the other."""
    while True:
        with admission.enter(Caller("batch", patient=True)) as place:
            await place.turn(10, Stages(asyncio.get_running_loop().time()))
            await engine.answer()
