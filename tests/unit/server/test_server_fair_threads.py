"""Threads shared by requests: fair turns, bounded waits, and a thread that is never lost."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from intently_server.admission import Admission, Bounds, Place
from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Caller

LONG, SHORT = 30_000, 100


class Pool:
    """One thread of an admission, which works on what it is given until it is let go on."""

    def __init__(self, bounds: Bounds) -> None:
        self.admission = Admission(bounds)
        self.ran: list[str] = []
        self.places: list[Place] = []
        self._threads = self.admission.threads(1, "test")
        self._begun = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)

    async def ask(self, name: str, caller: Caller, cost: int = LONG) -> str:
        """One request, which holds its place while its work waits and runs."""
        with self.admission.enter(caller) as place:
            self.places.append(place)
            return await self._threads.run(place, cost, lambda: self._work(name))

    async def start(self, count: int, name: str, caller: Caller, cost: int = LONG) -> list[asyncio.Task[str]]:
        """So many requests at once, each as far as it comes."""
        tasks = [asyncio.create_task(self.ask(name, caller, cost)) for _ in range(count)]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks

    async def begun(self) -> None:
        """Returns once the thread has begun one more work."""
        await asyncio.to_thread(self._begun.acquire)

    def let_go(self, count: int = 1) -> None:
        """Lets so many works end."""
        self._gate.release(count)

    def _work(self, name: str) -> str:
        self._begun.release()
        self._gate.acquire()
        self.ran.append(name)
        return name


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """A pool whose waits are not bounded in effect; its thread ends with the test."""
    made = Pool(Bounds(100, max_wait_s=600.0))
    yield made
    made.let_go(1_000)


async def test_a_flow_with_much_waiting_does_not_hold_up_another(pool: Pool) -> None:
    greedy = await pool.start(20, "greedy", Caller("1"))
    modest = await pool.start(5, "modest", Caller("2"), SHORT)

    pool.let_go(25)
    await asyncio.gather(*greedy, *modest)

    assert pool.ran[:7].count("modest") == 5
    assert len(pool.ran) == 25


async def test_what_is_cancelled_while_it_waits_is_never_run(pool: Pool) -> None:
    [running, *waiting] = await pool.start(10, "cancelled", Caller("1"))
    await pool.begun()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    other = await pool.start(1, "other", Caller("2"))

    pool.let_go(2)
    await asyncio.gather(running, *other)

    assert pool.ran == ["cancelled", "other"]
    assert pool.admission.load().in_flight == 0


async def test_a_thread_is_not_free_before_it_has_ended_what_was_cancelled(pool: Pool) -> None:
    [running] = await pool.start(1, "cancelled", Caller("1"))
    await pool.begun()
    running.cancel()
    await asyncio.wait([running])
    [other] = await pool.start(1, "other", Caller("2"))

    assert not other.done()
    assert pool.ran == []
    pool.let_go(2)
    assert await other == "other"
    assert pool.ran == ["cancelled", "other"]


async def test_what_is_cancelled_as_its_turn_comes_passes_the_thread_on(pool: Pool) -> None:
    [running, unlucky] = await pool.start(2, "any", Caller("1"))
    await pool.begun()
    pool.let_go()
    while not pool.places[1].granted:  # noqa: ASYNC110  # what has to come now comes in a pass of the loop
        await asyncio.sleep(0)
    unlucky.cancel()
    await asyncio.wait([running, unlucky])
    pool.let_go()

    assert unlucky.cancelled()
    assert await pool.ask("last", Caller("2")) == "last"
    assert pool.ran == ["any", "last"]


async def test_a_wait_ends_with_a_hint_when_it_becomes_too_long() -> None:
    pool = Pool(Bounds(100, max_wait_s=0.1))
    [running] = await pool.start(1, "running", Caller("1"))
    await pool.begun()

    with pytest.raises(Overloaded) as refused:
        await pool.ask("late", Caller("2"))

    assert refused.value.retry_after_s > 0
    pool.let_go()
    assert await running == "running"
    assert pool.ran == ["running"]


async def test_what_is_known_to_wait_too_long_is_refused_at_once() -> None:
    pool = Pool(Bounds(100, max_wait_s=0.2))
    patient = Caller("1", patient=True)
    for _ in range(3):
        [learned] = await pool.start(1, "slow", patient)
        await pool.begun()
        await asyncio.sleep(0.1)  # that is how long a text takes
        pool.let_go()
        await learned
    waiting = await pool.start(4, "slow", patient)

    with pytest.raises(Overloaded) as refused:
        await pool.ask("late", Caller("1"))
    with pytest.raises(DeadlineUnmeetable):
        await pool.ask("late", Caller("1", deadline=time.monotonic() + 0.05, patient=True))

    assert refused.value.retry_after_s >= 0.1
    pool.let_go(100)
    assert await asyncio.gather(*waiting) == ["slow"] * 4


async def test_places_that_wait_for_a_thread_go_to_those_with_fewer() -> None:
    pool = Pool(Bounds(10, max_wait_s=600.0))
    greedy = await pool.start(10, "greedy", Caller("1", patient=True))
    await pool.begun()

    with ExitStack() as places:
        for number in range(4):
            places.enter_context(pool.admission.enter(Caller(f"modest {number % 2}")))
        await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(Overloaded):
            pool.admission.enter(Caller("1"))

    assert [type(task.exception()) for task in greedy if task.done()] == [Overloaded] * 4
    pool.let_go(100)
    await asyncio.wait(greedy)


async def test_a_flood_that_needs_no_thread_takes_no_place_from_a_few_that_wait_for_one() -> None:
    pool = Pool(Bounds(10, max_wait_s=600.0))
    modest = await pool.start(2, "modest", Caller("1"))
    await pool.begun()

    with ExitStack() as places:
        for _ in range(8):
            places.enter_context(pool.admission.enter(Caller("2")))
        with pytest.raises(Overloaded):
            pool.admission.enter(Caller("2"))

    pool.let_go(2)
    assert await asyncio.gather(*modest) == ["modest"] * 2
