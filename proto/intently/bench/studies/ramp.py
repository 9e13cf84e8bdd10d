"""One load after the other: the curve of latency over load."""

import dataclasses
from collections.abc import Sequence

from intently.bench.leg import Leg
from intently.bench.studies.measurer import Measurer


def legs_of(leg: Leg, rates: Sequence[float] | None, concurrencies: Sequence[int] | None) -> list[Leg]:
    """The steps: rates of the open loop, or concurrencies of the closed one; without either, one step."""
    if rates is not None:
        return [dataclasses.replace(leg, rate=rate) for rate in rates]
    if concurrencies is not None:
        return [dataclasses.replace(leg, rate=None, concurrency=each) for each in concurrencies]
    return [leg]


async def measure_legs(measurer: Measurer, legs: Sequence[Leg]) -> None:
    """Measures the steps in order, until there is no more to measure."""
    for number, leg in enumerate(legs, start=1):
        await measurer.measure(leg, number=number, last=number == len(legs))
        if measurer.over:
            return
