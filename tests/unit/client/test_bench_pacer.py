"""The open loop on a clock of the test's own: no answer shifts a send, and nothing is omitted."""

import heapq

from hypothesis import given
from hypothesis import strategies as st

from intently.bench.histogram import Histogram
from intently.bench.pacer import BURST, Pacer
from intently.bench.schedule import bounded, constant, poisson


class World:
    """Time, and a server that takes `answer_at(now)` to say when it answers what is sent now."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, float]] = []  # when due, when sent
        self.held_back: list[float] = []
        self.latency = Histogram()
        self.unanswered: list[tuple[float, float]] = []  # a heap: when answered, when due
        self.stalls: tuple[float, float] = (0.0, 0.0)
        self.service_s = 0.002

    def clock(self) -> float:
        return self.now

    def send(self, due: float) -> None:
        self.sent.append((due, self.now))
        begin, end = self.stalls
        starts = end if begin <= self.now < end else self.now
        heapq.heappush(self.unanswered, (starts + self.service_s, due))

    def run(self, pacer: Pacer) -> None:
        """Lets time pass until all is sent and answered."""
        wake: float | None = 0.0
        while wake is not None or self.unanswered:
            answer = self.unanswered[0][0] if self.unanswered else float("inf")
            if wake is not None and wake <= answer:
                self.now = max(self.now, wake)
                wake = pacer.wake()
            else:
                self.now = max(self.now, answer)
                _, due = heapq.heappop(self.unanswered)
                self.latency.record(self.now - due)
                pacer.ended()


def pacer_of(world: World, times: list[float], max_outstanding: int = 10_000) -> Pacer:
    return Pacer(iter(times), max_outstanding, world.clock, world.send, world.held_back.append)


@given(
    seed=st.integers(min_value=0, max_value=2**32),
    service_s=st.floats(min_value=0.0, max_value=50.0),
    stall=st.tuples(st.floats(min_value=0, max_value=5), st.floats(min_value=0, max_value=30)),
)
def test_whatever_the_server_does_every_send_begins_when_it_is_due(
    seed: int, service_s: float, stall: tuple[float, float]
) -> None:
    world = World()
    world.service_s, world.stalls = service_s, (stall[0], stall[0] + stall[1])
    times = list(bounded(poisson(100.0, 0.0, seed), 0.0, 5.0, None))

    world.run(pacer_of(world, times))

    assert world.sent == [(due, due) for due in times]
    assert world.latency.count == len(times)
    assert world.held_back == []


def test_a_stall_of_a_second_is_seen_by_all_who_would_have_been_served_in_it() -> None:
    """100 sends a second for 10 s, a server that stalls from 4 s to 5 s: a tenth wait, evenly from 0 to 1 s."""
    world = World()
    world.stalls = (4.0, 5.0)
    world.run(pacer_of(world, list(bounded(constant(100.0, 0.0), 0.0, 10.0, None))))

    assert world.latency.count == 1000
    # among 1000 latencies, those waits are the last 100: the percentile 90 + p / 10 is at p % of a second
    for percent in (92, 95, 99):
        expected = (percent - 90) / 10 * 1.0 + world.service_s
        assert abs(world.latency.percentile(percent) - expected) < 0.012  # a gap, and a bucket
    assert abs(world.latency.percentile(89) - world.service_s) < 0.0001


def test_those_over_the_bound_wait_in_line_and_count_their_wait() -> None:
    world = World()
    world.stalls = (0.0, 1.0)
    times = list(bounded(constant(100.0, 0.0), 0.0, 1.0, None))

    world.run(pacer_of(world, times, max_outstanding=10))

    assert [due for due, _ in world.sent] == times  # none is left out, and none passes another
    assert world.held_back == times[10:]
    assert world.latency.count == 100
    assert world.latency.most > 0.99  # the first, which the stall met
    assert world.latency.percentile(50) > 0.5  # those in line count from when they were due


@given(bound=st.integers(min_value=1, max_value=20), seed=st.integers(min_value=0, max_value=1000))
def test_no_more_are_outstanding_than_the_bound(bound: int, seed: int) -> None:
    world = World()
    world.service_s = 0.1
    most = 0
    pacer = pacer_of(world, list(bounded(poisson(200.0, 0.0, seed), 0.0, 1.0, None)), bound)
    send = world.send

    def watched(due: float) -> None:
        nonlocal most
        send(due)
        most = max(most, len(world.unanswered))

    world.send = watched  # type: ignore[method-assign]
    pacer = Pacer(
        bounded(poisson(200.0, 0.0, seed), 0.0, 1.0, None), bound, world.clock, world.send, world.held_back.append
    )
    world.run(pacer)
    assert most <= bound
    assert pacer.outstanding == pacer.waiting == 0


def test_after_a_stall_of_its_own_it_sends_in_bursts_that_let_answers_in() -> None:
    world = World()
    pacer = pacer_of(world, [number / 1000 for number in range(1000)])
    world.now = 0.5

    again = pacer.wake()

    assert len(world.sent) == BURST
    assert again == BURST / 1000  # past already: at once, but not before the loop has looked around


def test_cut_off_it_still_sends_what_is_due() -> None:
    world = World()
    pacer = pacer_of(world, [0.1, 0.2, 0.3, 0.4], max_outstanding=1)
    world.now = 0.25
    pacer.wake()
    pacer.cut_off()

    assert pacer.over
    assert pacer.wake() is None
    assert (pacer.outstanding, pacer.waiting) == (1, 1)
    pacer.ended()
    assert [due for due, _ in world.sent] == [0.1, 0.2]


def test_giving_up_counts_what_was_due_and_never_sent() -> None:
    world = World()
    pacer = pacer_of(world, [number / 1000 for number in range(1000)], max_outstanding=BURST // 2)
    world.now = 0.0995
    pacer.wake()

    assert pacer.give_up() == 100 - BURST // 2  # in line, or due since
    assert pacer.over
    assert pacer.waiting == 0
