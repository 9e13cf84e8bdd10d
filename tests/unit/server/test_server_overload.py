"""Five times what the engine can answer, in a time that is made up: what admission keeps of goodput and latency.

What refusing costs a process is not in it; tests/bench/overload.py has that.
"""

import pytest

from support.overloaded_world import MAX_WAIT_S, SECONDS, SUSTAINED, World


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("multiple", [2.0, 5.0])
async def test_goodput_and_latency_are_kept_under_overload(multiple: float, proxied: bool) -> None:
    best = await World(0.95 * SUSTAINED).run()
    over = await World(multiple * SUSTAINED, proxied).run()

    assert over.goodput() >= 0.9 * max(best.goodput(), SUSTAINED)
    assert p99(over.latencies()) <= MAX_WAIT_S
    assert over.most_in_flight <= 1024
    assert over.refused


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
