"""The ratio of two targets: its mean and interval, as scipy has them."""

import math
import random

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from intently.bench.studies.ratio import ratio_between, ratio_of, t95


@pytest.mark.parametrize("freedom", [1, 2, 5, 29, 30, 31, 60, 500])
def test_quantiles_are_student_s(freedom: int) -> None:
    assert t95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)


def test_the_interval_is_that_of_the_mean_logarithm() -> None:
    chosen = random.Random(3)
    pairs = [(chosen.uniform(90, 110), chosen.uniform(45, 55)) for _ in range(7)]
    ratio = ratio_of(pairs)
    logs = np.log([first / second for first, second in pairs])
    low, high = stats.t.interval(0.95, len(logs) - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert ratio is not None
    assert ratio.value == pytest.approx(math.exp(logs.mean()))
    assert ratio.low == pytest.approx(math.exp(low), rel=1e-3)
    assert ratio.high == pytest.approx(math.exp(high), rel=1e-3)
    assert ratio.rounds == pytest.approx([first / second for first, second in pairs])


def test_the_other_way_round_it_is_the_inverse() -> None:
    pairs = [(1.9, 1.0), (2.2, 1.0), (2.0, 1.1)]
    one, other = ratio_of(pairs), ratio_of([(second, first) for first, second in pairs])
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(1 / other.value)
    assert other.low is not None
    assert one.high == pytest.approx(1 / other.low)


def test_one_round_has_no_interval_and_none_has_no_ratio() -> None:
    single = ratio_of([(2.0, 1.0)])
    assert single is not None
    assert (single.value, single.low, single.high) == (2.0, None, None)
    assert ratio_of([]) is None
    assert ratio_of([(2.0, 1.0), (0.0, 1.0)]) is None


def test_between_two_searches_the_truth_lies_between_what_passed_and_what_failed() -> None:
    ratio = ratio_between((180.0, 190.0), (100.0, 110.0))
    assert ratio is not None
    assert ratio.value == 1.8
    assert ratio.low == pytest.approx(180 / 110)
    assert ratio.high == pytest.approx(1.9)
    assert ratio_between((0.0, None), (100.0, None)) is None
