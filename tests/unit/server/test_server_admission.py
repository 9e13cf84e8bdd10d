"""Admission: never more in flight than allowed, all places given back, fair turns, refusals that can be trusted."""

import asyncio
import itertools
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.admission import Admission, Bounds
from intently_server.errors import DeadlineUnmeetable, IntentlyError, Overloaded
from intently_server.types import Caller, Priority, Stages

NOBODY = Caller()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Requests that stay inside the engine until they are let go."""

    def __init__(self, bounds: Bounds) -> None:
        self.clock = Clock()
        self.admission = Admission(bounds, self.clock)
        self.inside: list[tuple[str, asyncio.Event]] = []

    async def ask(self, name: str = "", caller: Caller = NOBODY, tokens: int = 10) -> str:
        """One request from its entry to its end."""
        with self.admission.enter(caller) as place:
            await place.turn(tokens, Stages(self.clock()))
            gone = asyncio.Event()
            self.inside.append((name, gone))
            await gone.wait()
        return name

    async def start(
        self, count: int, name: str = "", caller: Caller = NOBODY, tokens: int = 10
    ) -> list[asyncio.Task[str]]:
        """So many requests at once, each as far as it comes."""
        tasks = [asyncio.create_task(self.ask(name, caller, tokens)) for _ in range(count)]
        await self.settle()
        return tasks

    async def let_go(self) -> str:
        """Ends the request that has been in the engine longest; returns its name."""
        name, gone = self.inside.pop(0)
        gone.set()
        await self.settle()
        return name

    async def learn_rate(self, per_s: float) -> None:
        """Ends requests at this rate, with others waiting, until it is known."""
        tasks = await self.start(40)
        while self.inside:
            self.clock.now += 1 / per_s
            await self.let_go()
        await asyncio.gather(*tasks)
        assert self.admission.load().requests_per_s == pytest.approx(per_s, rel=0.05)

    async def settle(self) -> None:
        """Lets everything happen that can."""
        for _ in range(10):
            await asyncio.sleep(0)


def failures(tasks: list[asyncio.Task[str]]) -> list[IntentlyError]:
    """The errors of those requests that have failed."""
    return [error for task in tasks if task.done() and isinstance(error := task.exception(), IntentlyError)]


@given(bound=st.integers(1, 20), arrivals=st.integers(0, 40))
def test_as_many_are_admitted_as_there_are_places(bound: int, arrivals: int) -> None:
    admission, admitted, refused = Admission(Bounds(bound)), 0, 0
    with ExitStack() as places:
        for _ in range(arrivals):
            try:
                places.enter_context(admission.enter(NOBODY))
                admitted += 1
            except Overloaded:
                refused += 1
        assert admission.load().in_flight == admitted == min(bound, arrivals)
        assert refused == admission.load().refused == max(0, arrivals - bound)
    assert admission.load().in_flight == 0


def test_a_failure_gives_the_place_back() -> None:
    admission = Admission(Bounds(1))

    for _ in range(3):
        with pytest.raises(RuntimeError), admission.enter(NOBODY):
            raise RuntimeError

    assert admission.load().in_flight == 0


async def test_the_engine_is_given_no_more_than_its_bound_and_the_rest_in_order() -> None:
    desk = Desk(Bounds(100, max_running=3))
    for name in "abcdef":
        await desk.start(1, name)

    assert (desk.admission.load().running, desk.admission.load().queued) == (3, 3)
    assert [await desk.let_go() for _ in range(6)] == list("abcdef")
    assert (desk.admission.load().running, desk.admission.load().in_flight) == (0, 0)


async def test_a_flow_with_much_in_flight_does_not_hold_up_another() -> None:
    desk = Desk(Bounds(1000, max_running=1))
    await desk.start(200, "greedy", Caller("1"))
    await desk.start(5, "modest", Caller("2"))

    first = Counter([await desk.let_go() for _ in range(12)])

    assert first["modest"] == 5


async def test_priorities_get_shares_and_none_is_starved() -> None:
    desk = Desk(Bounds(1000, max_running=1))
    await desk.start(1)
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        await desk.start(100, priority, Caller("1", priority))

    first = Counter([await desk.let_go() for _ in range(71)])

    assert abs(first[Priority.HIGH] - 40) <= 2
    assert abs(first[Priority.NORMAL] - 20) <= 2
    assert abs(first[Priority.LOW] - 10) <= 2


async def test_a_flood_that_gives_up_again_and_again_starves_nobody() -> None:
    """All ask more than there is, and give up after a while: shares stay as the weights, and flows as one."""
    desk = Desk(Bounds(10_000, max_running=1))
    asking = [Caller("1", Priority.HIGH), Caller("1", Priority.LOW), Caller("2", Priority.NORMAL)]
    answered: Counter[str] = Counter()
    await desk.start(1, "first")
    for _ in range(40):
        waiting = [await desk.start(10, f"{caller.flow} {caller.priority}", caller) for caller in asking]
        answered.update([await desk.let_go() for _ in range(12)])
        for task in itertools.chain.from_iterable(waiting):
            task.cancel()
        await desk.settle()

    assert answered["1 low"] >= 20
    assert answered["2 normal"] >= 100
    assert answered["1 high"] >= 100


async def test_a_deadline_is_measured_by_the_engine_not_by_how_long_batches_wait() -> None:
    desk = Desk(Bounds(10_000, max_running=1, max_wait_s=1000.0))
    batch = await desk.start(900, "batch", Caller("1", patient=True))
    for _ in range(450):
        desk.clock.now += 0.01
        await desk.let_go()

    soon = Caller("2", deadline=desk.clock.now + 0.5)
    assert failures(await desk.start(1, "unary", soon)) == []
    for task in batch:
        task.cancel()
    await desk.settle()


async def test_where_all_is_full_the_one_with_most_gives_way_to_one_with_less() -> None:
    desk = Desk(Bounds(10, max_running=1))
    greedy = await desk.start(10, "greedy", Caller("1"))
    modest = await desk.start(3, "modest", Caller("2"))

    assert not any(task.done() for task in modest)
    assert [type(error) for error in failures(greedy)] == [Overloaded] * 3
    assert [type(error) for error in failures(await desk.start(1, "more", Caller("1")))] == [Overloaded]
    assert desk.admission.load().in_flight == 10


async def test_tokens_that_wait_are_bounded() -> None:
    desk = Desk(Bounds(1000, max_queued_tokens=100, max_running=1))
    tasks = await desk.start(8, tokens=30)  # one in the engine, three waiting

    assert [type(error) for error in failures(tasks)] == [Overloaded] * 4
    assert desk.admission.load().queued_tokens == 90


async def test_who_gives_up_while_waiting_leaves_nothing_behind() -> None:
    desk = Desk(Bounds(1000, max_running=1))
    tasks = await desk.start(50)
    for task in tasks[1:]:
        task.cancel()
    await desk.settle()

    assert (desk.admission.load().in_flight, desk.admission.load().queued) == (1, 0)
    await desk.let_go()
    assert desk.admission.load().running == 0


async def test_who_is_cancelled_as_its_turn_comes_gives_the_turn_on() -> None:
    desk = Desk(Bounds(1000, max_running=1))
    first, second, third = [(await desk.start(1, name))[0] for name in "abc"]
    desk.inside.pop(0)[1].set()
    await asyncio.sleep(0)  # the first ends, and the second is given its turn
    second.cancel()
    await desk.settle()

    assert first.done()
    assert await desk.let_go() == "c"
    assert await third == "c"
    assert desk.admission.load().in_flight == 0


async def test_what_would_wait_too_long_is_refused_once_the_rate_is_known() -> None:
    desk = Desk(Bounds(1000, max_running=1, max_wait_s=2.0))
    await desk.learn_rate(per_s=50)
    tasks = await desk.start(200)

    refused = failures(tasks)
    assert [type(error) for error in refused] == [Overloaded] * len(refused)
    assert 60 <= len(tasks) - len(refused) <= 100  # what 50 in a second work off in 2 s, less what is not trusted
    assert all(0.01 <= error.retry_after_s <= 5.0 for error in refused if isinstance(error, Overloaded))


@pytest.mark.parametrize(("per_s", "in_flight"), [(10, 40), (50, 40), (50, 200), (200, 200)])
async def test_who_finds_no_room_hears_when_the_measured_rate_has_worked_off_a_tenth(
    per_s: float, in_flight: int
) -> None:
    desk = Desk(Bounds(in_flight, max_running=1, max_wait_s=1000.0))
    await desk.learn_rate(per_s=per_s)
    held = await desk.start(in_flight)

    [error] = failures(await desk.start(1))

    assert failures(held) == []
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == pytest.approx(in_flight / (10 * per_s), rel=0.1)


async def test_a_batch_may_wait_longer() -> None:
    desk = Desk(Bounds(1000, max_running=1, max_wait_s=2.0))
    await desk.learn_rate(per_s=50)

    assert failures(await desk.start(200, caller=Caller(patient=True))) == []


async def test_one_request_at_a_time_tells_nothing_of_how_many_would_be_too_many() -> None:
    desk = Desk(Bounds(1000, max_running=64, max_wait_s=0.5))
    for _ in range(50):
        [task] = await desk.start(1)
        desk.clock.now += 0.1
        await desk.let_go()
        await task

    assert desk.admission.load().requests_per_s is None
    assert failures(await desk.start(500)) == []


async def test_a_deadline_under_the_expected_wait_is_refused_at_once() -> None:
    desk = Desk(Bounds(1000, max_running=1, max_wait_s=10.0))
    await desk.learn_rate(per_s=50)
    await desk.start(50)  # a second's work
    now = desk.clock.now

    assert [type(e) for e in failures(await desk.start(1, caller=Caller(deadline=now + 0.5)))] == [DeadlineUnmeetable]
    assert failures(await desk.start(1, caller=Caller(deadline=now + 2.0))) == []


async def test_another_flow_s_wait_is_its_own() -> None:
    desk = Desk(Bounds(1000, max_running=1, max_wait_s=10.0))
    await desk.learn_rate(per_s=50)
    await desk.start(50, caller=Caller("1"))  # a second's work
    soon = desk.clock.now + 0.5

    assert failures(await desk.start(1, caller=Caller("2", deadline=soon))) == []


async def test_a_deadline_shorter_than_any_answer_of_late_is_refused_but_not_by_an_idle_server() -> None:
    desk = Desk(Bounds(1000))
    [task] = await desk.start(1)
    desk.clock.now += 1.0
    await desk.let_go()
    await task
    soon = Caller(deadline=desk.clock.now + 0.5)

    assert failures(await desk.start(1, caller=soon)) == []
    assert [type(error) for error in failures(await desk.start(1, caller=soon))] == [DeadlineUnmeetable]


async def test_what_waited_too_long_in_a_proxy_is_refused_unless_the_engine_has_room() -> None:
    desk = Desk(Bounds(1000, max_running=4, max_wait_s=1.0))
    late, soon = Caller(waited_s=3.0), Caller(waited_s=0.1)

    assert failures(await desk.start(4, caller=late)) == []
    assert [type(error) for error in failures(await desk.start(1, caller=late))] == [Overloaded]
    assert failures(await desk.start(1, caller=Caller(waited_s=3.0, patient=True))) == []
    assert failures(await desk.start(1, caller=soon)) == []


async def test_what_waited_in_a_proxy_waits_here_the_less() -> None:
    desk = Desk(Bounds(1000, max_running=1, max_wait_s=0.2))
    await desk.start(1)
    tasks = await desk.start(1, caller=Caller(waited_s=0.1))
    for _ in range(100):  # of real time: what bounds the wait is the event loop's clock
        await asyncio.sleep(0.01)
        if failures(tasks):
            break

    assert [type(error) for error in failures(tasks)] == [Overloaded]


async def test_the_rate_is_learned_while_others_wait_in_a_proxy() -> None:
    desk = Desk(Bounds(1000, max_running=64, max_wait_s=0.5))
    waited = Caller(waited_s=0.1)
    tasks = await desk.start(40, caller=waited)
    for _ in range(200):
        desk.clock.now += 0.01
        await desk.let_go()
        tasks += await desk.start(1, caller=waited)

    assert desk.admission.load().requests_per_s == pytest.approx(100, rel=0.05)


async def test_a_wait_elsewhere_is_no_sign_of_an_engine_that_is_full_while_little_runs() -> None:
    desk = Desk(Bounds(1000, max_running=256, max_wait_s=0.5))
    for _ in range(50):
        tasks = await desk.start(8, caller=Caller(waited_s=0.1))
        desk.clock.now += 0.08
        for _ in range(8):
            await desk.let_go()
        await asyncio.gather(*tasks)

    assert desk.admission.load().requests_per_s is None
    assert failures(await desk.start(256)) == []


async def test_long_answers_are_no_sign_of_an_engine_that_is_full_while_little_runs() -> None:
    desk = Desk(Bounds(1000, max_running=256, max_wait_s=0.5))
    for _ in range(20):
        tasks = await desk.start(8)
        desk.clock.now += 1.0
        for _ in range(8):
            await desk.let_go()
        await asyncio.gather(*tasks)

    assert desk.admission.load().requests_per_s is None
    assert failures(await desk.start(256)) == []


async def test_a_deadline_that_has_passed_is_refused() -> None:
    desk = Desk(Bounds(1000))

    [error] = failures(await desk.start(1, caller=Caller(deadline=desk.clock.now)))
    assert isinstance(error, DeadlineUnmeetable)


@pytest.mark.parametrize("factor", [0.2, 5.0])
async def test_the_rate_follows_the_engine(factor: float) -> None:
    desk = Desk(Bounds(10_000, max_running=1, max_wait_s=1000.0))
    await desk.learn_rate(per_s=50)
    tasks = await desk.start(300)
    while desk.inside:
        desk.clock.now += 1 / (50 * factor)
        await desk.let_go()
    await asyncio.gather(*tasks)

    assert desk.admission.load().requests_per_s == pytest.approx(50 * factor, rel=0.1)


async def test_the_rate_of_an_engine_that_works_in_fits_is_what_it_does_on_the_whole() -> None:
    desk = Desk(Bounds(10_000, max_running=1, max_wait_s=1000.0))
    tasks = await desk.start(600)
    seen = []
    while desk.inside:
        for pause_s in (0.01, 0.04):  # ten at 100/s, ten at 25/s: 40/s
            for _ in range(10):
                desk.clock.now += pause_s
                await desk.let_go()
            seen.append(desk.admission.load().requests_per_s or 0.0)
    await asyncio.gather(*tasks)

    assert sum(seen[-10:]) / 10 == pytest.approx(40, rel=0.1)


async def test_an_engine_that_ends_requests_by_the_batch_is_measured_by_whole_batches() -> None:
    desk = Desk(Bounds(10_000, max_running=40, max_wait_s=1000.0))
    tasks = await desk.start(400)
    seen = []
    while desk.inside:
        desk.clock.now += 0.4
        for _ in range(40):
            await desk.let_go()
            seen.append(desk.admission.load().requests_per_s)
    await asyncio.gather(*tasks)

    assert {rate and round(rate) for rate in seen} == {None, 100}


async def test_an_engine_that_is_shared_is_given_by_each_its_part_of_the_least() -> None:
    desk = Desk(Bounds(1000, max_running=64, max_wait_s=1.0, least_running=16))
    tasks = await desk.start(200, caller=Caller("1", patient=True))
    for _ in range(100):  # one in a second
        desk.clock.now += 1.0
        await desk.let_go()

    assert desk.admission.load().running == 16
    for task in tasks:
        task.cancel()
    await desk.settle()
