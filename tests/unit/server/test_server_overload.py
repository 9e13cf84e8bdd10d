"""Five times what the engine can answer, in a time that is made up: what admission keeps of goodput and latency.

What refusing costs a process is not in it; tests/bench/overload.py has that.
"""

import pytest

from support.overloaded_world import BATCH, MAX_WAIT_S, SECONDS, SUSTAINED, WARM_UP_S, World

SLOW_STEP_S = 0.12  # of eight requests: the 32 that an engine has at least take it more than half of the longest wait


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("multiple", [2.0, 5.0])
async def test_goodput_and_latency_are_kept_under_overload(multiple: float, proxied: bool) -> None:
    best = await World(0.95 * SUSTAINED).run()
    over = await World(multiple * SUSTAINED, proxied).run()

    assert over.goodput() >= 0.9 * max(best.goodput(), SUSTAINED)
    assert p99(over.latencies()) <= MAX_WAIT_S
    assert over.most_in_flight <= 1024
    assert over.refused


@pytest.mark.parametrize("multiple", [1.0, 2.0, 5.0])
async def test_a_slow_engine_whose_steps_vary_keeps_the_longest_wait(multiple: float) -> None:
    rate = BATCH / SLOW_STEP_S
    over = await World(multiple * rate, step_s=SLOW_STEP_S, unsteady=0.1, seconds=60.0).run()

    assert over.goodput() >= 0.85 * rate
    assert p99(over.latencies()) <= MAX_WAIT_S


async def test_single_calls_get_their_share_beside_batches_on_a_slow_engine() -> None:
    step_s, singles = 0.14, 5.0  # an answer takes more than half of the longest wait in the engine alone
    rate = BATCH / step_s
    offered = 1.1 * rate + singles
    over = await World(offered, step_s=step_s, seconds=20.0, of_batches=1.1 * rate / offered).run()

    answered = sum(not each.of_batch and each.entered_s >= WARM_UP_S for each in over.answers)
    assert answered >= 0.5 * singles * (20.0 - WARM_UP_S)
    assert over.goodput() >= 0.9 * rate


@pytest.mark.parametrize("front_ends", [2, 3])
@pytest.mark.parametrize("multiple", [2.0, 5.0])
async def test_front_ends_that_share_an_engine_keep_them_by_parts(multiple: float, front_ends: int) -> None:
    over = await World(multiple * SUSTAINED, front_ends=front_ends).run()

    assert over.goodput() >= 0.9 * SUSTAINED
    assert p99(over.latencies()) <= MAX_WAIT_S
    assert over.most_in_flight <= 1024
    shares = [sum(answer.front_end == each for answer in over.answers) for each in range(front_ends)]
    assert min(shares) >= 0.8 * max(shares)


@pytest.mark.parametrize("multiple", [2.0, 5.0])
async def test_a_front_end_alone_fills_the_engine_and_makes_room_when_another_wakes(multiple: float) -> None:
    """Alone it has measured the whole of the engine's rate, and believes in that for a moment too long."""
    wakes_s = 5.0
    over = await World(multiple * SUSTAINED, front_ends=2, alone_s=wakes_s).run()

    assert over.goodput(3.0, wakes_s - MAX_WAIT_S) >= 0.9 * SUSTAINED
    assert over.goodput(wakes_s + 1.0, SECONDS - MAX_WAIT_S) >= 0.9 * SUSTAINED
    assert p99(over.latencies(since_s=wakes_s + 1.0)) <= MAX_WAIT_S


def p99(ordered: list[float]) -> float:
    """The 99th percentile."""
    return ordered[len(ordered) * 99 // 100]
