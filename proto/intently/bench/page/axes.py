"""Axes that fit their data, with round ticks."""

import math
from collections.abc import Iterable

from intently.bench.page.svg import Axis

_ROUNDING = 1e-9


def from_zero(title: str, values: Iterable[float]) -> Axis:
    """An even axis from 0 to a little over the greatest value."""
    high = max(values, default=0.0) * 1.06 or 1.0
    return Axis(title, 0.0, high, tuple((value, f"{value:g}") for value in _steps(0.0, high)))


def around(title: str, values: Iterable[float]) -> Axis:
    """An even axis around values that are near each other."""
    found = sorted(values) or [1.0]
    margin = max((found[-1] - found[0]) * 0.15, abs(found[-1]) * 0.005, 1e-6)
    low, high = found[0] - margin, found[-1] + margin
    return Axis(title, low, high, tuple((value, f"{value:g}") for value in _steps(low, high)))


def logarithmic(title: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis over the values above 0, with ticks at round numbers: the closer, the shorter it is."""
    found = sorted(value for value in values if value > 0) or [1.0]
    low, high = found[0] / 1.1, found[-1] * 1.1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 1.5, 2, 3, 4, 5, 7) if high / low < 12 else (1, 2, 5) if high / low < 2e3 else (1,)
    at = [factor * 10.0**power for power in powers for factor in factors]
    return Axis(title, low, high, tuple((value, f"{value:g}") for value in at if low <= value <= high), True)


def _steps(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - _ROUNDING))
    first, last = math.ceil(low / step - _ROUNDING), math.floor(high / step + _ROUNDING)
    return [round(place * step, 12) for place in range(first, last + 1)]
