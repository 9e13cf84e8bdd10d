"""The ratio of two targets, measured in turn: its mean over the rounds, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Two-sided 95 % quantiles of Student's t distribution, for 1, 2, … degrees of freedom; beyond, those of the normal one
# with its first two corrections, which is right to four digits there.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much.

    Attributes:
        value: The geometric mean over the rounds; for a search, of what was found.
        low: The lower end of the interval; None where one round says nothing of it.
        high: The upper end.
        rounds: The ratio in each round.
    """

    value: float
    low: float | None
    high: float | None
    rounds: tuple[float, ...] = ()


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    """The first of each pair over the second: mean and 95 % confidence interval of the logarithm, which is what
    differs alike up and down. Pairs are rounds, taken to be independent. None if one is without a figure above 0.
    """
    if not pairs or any(first <= 0 or second <= 0 for first, second in pairs):
        return None
    logs = [math.log(first / second) for first, second in pairs]
    mean = statistics.fmean(logs)
    rounds = tuple(math.exp(each) for each in logs)
    if len(logs) < 2:
        return Ratio(math.exp(mean), None, None, rounds)
    reach = t95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), rounds)


def ratio_between(first: tuple[float, float | None], second: tuple[float, float | None]) -> Ratio | None:
    """The ratio of what two searches found. Each is the rate that passed, and the one above it that failed; the truth
    lies between, so the interval is from the least to the most that this allows."""
    if not (first[0] > 0 and second[0] > 0):
        return None
    value = first[0] / second[0]
    low = None if second[1] is None else min(first[0] / second[1], value)
    high = None if first[1] is None else max(first[1] / second[0], value)
    return Ratio(value, low, high)


def t95(freedom: int) -> float:
    """The factor of a two-sided 95 % interval with so many degrees of freedom."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
