"""When requests are due: arrival times that no answer can shift."""

import itertools
import random
from collections.abc import Iterator

from intently.bench.plan import Arrivals, Plan, Share

_SAME_S = 1e-9  # 0.1 + 0.2 is a little more than 0.3


def poisson(rate: float, start: float, seed: int) -> Iterator[float]:
    """Endless times of a Poisson process: gaps are exponential with mean 1 / `rate` seconds."""
    random_numbers = random.Random(seed)
    due = start
    while True:
        due += random_numbers.expovariate(rate)
        yield due


def constant(rate: float, start: float, first: int = 0, step: int = 1) -> Iterator[float]:
    """Of the endless times 1 / `rate` seconds apart from `start`: the `first`, counted from 0, and each `step`th after.

    Rounding does not add up.
    """
    return (start + number / rate for number in itertools.count(first, step))


def due_times(plan: Plan, share: Share, start: float) -> Iterator[float]:
    """The times at which one process sends, in seconds of the monotonic clock, until the plan is over.

    Several Poisson processes together are one of the sum of their rates. Constant schedules are interleaved.

    Args:
        plan: Open loop: with a rate.
        share: Which process.
        start: When the warm-up begins.
    """
    if plan.rate is None:
        raise ValueError("a closed loop has no schedule")
    # From 0, and added to the start last: whether a send at the window's very end is one of it must not depend on how
    # many digits the clock leaves.
    if plan.arrivals is Arrivals.POISSON:
        times = poisson(plan.rate / plan.processes, 0.0, seed=plan.seed * 1_000_003 + share.index)
    else:
        times = constant(plan.rate, 0.0, first=share.index, step=plan.processes)
    end = None if plan.duration_s is None else plan.warm_up_s + plan.duration_s - _SAME_S
    return (start + due for due in bounded(times, plan.warm_up_s, end, share.requests))


def bounded(times: Iterator[float], record_from: float, end: float | None, requests: int | None) -> Iterator[float]:
    """Those of `times` before `end`, and at most `requests` of those that are recorded."""
    recorded = 0
    for due in times:
        recorded += due >= record_from
        if (end is not None and due >= end) or (requests is not None and recorded > requests):
            return
        yield due
