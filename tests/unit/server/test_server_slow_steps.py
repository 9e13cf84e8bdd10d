"""Admission before engines whose steps take long: with many prompts in them, always, or once."""

import random

import pytest

from support.stepping_engine import MAX_WAIT_S, SteppingEngine, outcome

SUSTAINED = 146.0  # prompts a second, however many are in a step
QUICK, BATCH = 1500.0, 64


@pytest.mark.parametrize("front_ends", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_engine_is_not_filled_beyond_what_it_answers_in_time(seed: int, front_ends: int) -> None:
    """At the rate that it sustains, nothing has ever waited, and what is in it goes up and down by chance."""
    engine = SteppingEngine(lambda prompts, _: max(0.005, prompts / SUSTAINED))
    phases = [(5.0, 0.5 * SUSTAINED), (20.0, SUSTAINED), (10.0, 5 * SUSTAINED)]

    seen = outcome(engine, phases, front_ends, seed)

    assert seen.p99(5.0, 25.0) <= MAX_WAIT_S
    assert seen.goodput(5.0, 25.0) >= 0.9 * SUSTAINED
    assert seen.p99(25.0, 35.0) <= MAX_WAIT_S
    assert seen.goodput(25.0, 35.0) >= 0.9 * SUSTAINED


@pytest.mark.parametrize("sustained", [45.0, 243.0, 600.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_answers_come_in_time_under_overload_where_steps_vary_by_chance(seed: int, sustained: float) -> None:
    chance = random.Random(seed)
    engine = SteppingEngine(lambda prompts, _: prompts / sustained * chance.lognormvariate(0.0, 0.25), answer_s=0.0)
    phases = [(5.0, 0.5 * sustained), (15.0, sustained), (15.0, 2 * sustained), (20.0, 5 * sustained)]

    seen = outcome(engine, phases, seed=seed)

    for since_s, until_s in [(22.0, 35.0), (37.0, 55.0)]:
        assert seen.p99(since_s, until_s) <= MAX_WAIT_S
        assert seen.goodput(since_s, until_s) >= 0.85 * sustained


@pytest.mark.parametrize(("sustained", "share"), [(60.0, 0.6), (75.0, 0.8), (100.0, 0.9), (243.0, 0.9)])
def test_single_calls_get_their_turns_beside_a_batch_that_may_wait(sustained: float, share: float) -> None:
    """By callers with much less in flight than the batch has. Of slow engines 32 prompts are much already."""
    engine = SteppingEngine(lambda prompts, _: max(0.005, prompts / sustained), answer_s=0.0)

    seen = outcome(engine, [(20.0, 0.1 * sustained)], batch=256)

    assert seen.goodput(5.0, 20.0) >= share * 0.1 * sustained
    assert seen.p99(5.0, 20.0) <= 1.25 * MAX_WAIT_S


def test_an_engine_that_has_become_slower_is_given_less() -> None:
    slower_s = 10.0
    engine = SteppingEngine(lambda prompts, s: max(0.005, prompts / (4 * SUSTAINED if s < slower_s else SUSTAINED)))

    seen = outcome(engine, [(5.0, 6 * SUSTAINED), (5.0, 0.5 * SUSTAINED), (20.0, SUSTAINED)])

    assert seen.p99(slower_s + 3.0, 30.0) <= MAX_WAIT_S
    assert seen.goodput(slower_s, 30.0) >= 0.9 * SUSTAINED


@pytest.mark.parametrize("hung_s", [0.0, 0.3, 0.6])
def test_a_quick_engine_that_hangs_for_a_moment_refuses_nobody(hung_s: float) -> None:
    hangs = iter([hung_s])
    engine = SteppingEngine(lambda _, s: BATCH / QUICK + (next(hangs, 0.0) if s >= 3.0 else 0.0), BATCH, answer_s=0.0)

    seen = outcome(engine, [(8.0, 0.7 * QUICK)])

    assert not seen.refused
    assert seen.p99(5.0, 8.0) <= 3 * BATCH / QUICK


def test_steps_that_take_long_with_few_in_them_are_no_sign_of_too_many() -> None:
    step_s, most = 0.35, 256

    seen = outcome(SteppingEngine(lambda *_: step_s, most), [(10.0, most / step_s / 3)])

    assert not seen.refused


@pytest.mark.parametrize("front_ends", [1, 2])
@pytest.mark.parametrize("timeout_s", [0.9, 0.6, 0.4])
def test_deadlines_that_a_full_engine_misses_do_not_end_its_answers(timeout_s: float, front_ends: int) -> None:
    """Whoever gives up tells nothing of how fast the engine is, and may be all there is."""
    engine = SteppingEngine(lambda prompts, _: max(0.005, prompts / SUSTAINED))
    phases = [(5.0, 0.5 * SUSTAINED), (10.0, SUSTAINED), (10.0, 5 * SUSTAINED), (5.0, 0.5 * SUSTAINED)]

    seen = outcome(engine, phases, front_ends, timeout_s=timeout_s)

    assert seen.goodput(5.0, 15.0) >= 0.8 * SUSTAINED
    assert seen.goodput(15.0, 25.0) >= 0.75 * SUSTAINED
    assert seen.goodput(26.0, 30.0) >= 0.9 * 0.5 * SUSTAINED


@pytest.mark.parametrize("timeout_s", [0.5, 0.25, 0.15])
def test_deadlines_of_a_few_steps_are_kept_or_refused_by_a_full_quick_engine(timeout_s: float) -> None:
    engine = SteppingEngine(lambda *_: BATCH / QUICK, BATCH, answer_s=0.0)
    phases = [(5.0, 0.5 * QUICK), (5.0, QUICK), (10.0, 3 * QUICK), (5.0, 0.6 * QUICK)]

    seen = outcome(engine, phases, timeout_s=timeout_s)

    assert seen.goodput(11.0, 20.0) >= 0.8 * QUICK
    assert sum(11.0 <= came < 20.0 for came in seen.expired) <= 0.1 * 9.0 * 3 * QUICK
    assert seen.goodput(21.0, 25.0) >= 0.95 * 0.6 * QUICK


def test_callers_with_short_deadlines_are_all_answered_again_once_the_engine_is_quick_again() -> None:
    offered = 1000.0
    engine = SteppingEngine(lambda _, s: BATCH / QUICK * (8 if 4.0 <= s < 8.0 else 1), BATCH, answer_s=0.0)

    seen = outcome(engine, [(20.0, offered)], timeout_s=0.1)

    assert seen.goodput(1.0, 4.0) >= 0.95 * offered
    assert seen.goodput(10.0, 20.0) >= 0.95 * offered
