"""Two targets in turn, within one run, so that what changes on the machine changes for both."""

import dataclasses
from collections.abc import Sequence

from intently.bench.histogram import PERCENTILES
from intently.bench.leg import Leg
from intently.bench.studies.measurer import Measurer
from intently.bench.studies.ratio import Ratio, ratio_of
from intently.bench.studies.study import Run


async def measure_in_turn(measurers: Sequence[Measurer], legs: Sequence[Leg], rounds: int) -> None:
    """Measures each leg on each target, as many times as there are rounds.

    Who comes first changes from round to round, so that a drift that is even favours nobody. Both get the same
    arrivals and the same utterances in a round, and others in the next.
    """
    for number in range(1, rounds + 1):
        order = measurers if number % 2 else measurers[::-1]
        for leg in legs:
            seeded = dataclasses.replace(leg, seed=leg.seed + number - 1)
            for measurer in order:
                last = number == rounds and leg is legs[-1]
                await measurer.measure(seeded, number=number, last=last)
                if any(each.over for each in measurers):
                    return


def ratios_of(first: Sequence[Run], second: Sequence[Run]) -> tuple[tuple[str, Ratio], ...]:
    """The first target's figures over the second one's, by name: goodput, then percentiles of the latency.

    A round that only one of them finished is left out; so is a figure that one of them has not in every round.
    """
    pairs = list(zip(first, second, strict=False))
    ratios = {
        name: ratio_of([(_figure(one, percent), _figure(other, percent)) for one, other in pairs])
        for name, percent in [("ratio", None), *((f"p{each:g}-ratio", each) for each in PERCENTILES)]
    }
    return tuple((name, ratio) for name, ratio in ratios.items() if ratio is not None)


def _figure(run: Run, percent: float | None) -> float:
    """A percentile of the latency, or the goodput."""
    return run.result.answered_per_s if percent is None else run.result.total.latency.percentile(percent)
