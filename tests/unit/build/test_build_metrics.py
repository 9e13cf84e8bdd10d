"""Metrics, against cases that can be reckoned by hand."""

import numpy as np
import pytest

from intently_build.metrics import (
    Answers,
    expected_calibration_error,
    macro_f1,
    operating_point,
    out_of_scope_auroc,
    perfect_ece_p95,
)


def test_ece_of_a_hand_computed_case() -> None:
    # Bins of 1/15. 0.95 and 0.97 fall into the last, one of two right: |0.96 - 0.5| over 2 of 4 rows. 0.55 is alone
    # and right: 0.45 over 1 of 4. 0.3 is alone and wrong: 0.3 over 1 of 4.
    confidences = np.array([0.95, 0.97, 0.55, 0.3])
    right = np.array([True, False, True, False])
    expected = 0.46 * 2 / 4 + 0.45 / 4 + 0.3 / 4
    assert expected_calibration_error(confidences, right) == pytest.approx(expected)


def test_ece_closes_bins_above() -> None:
    # 1/15 belongs to the first bin and 2/15 to the second. Were they one bin, the errors would partly cancel.
    confidences = np.array([1 / 15, 2 / 15])
    assert expected_calibration_error(confidences, np.array([True, False])) == pytest.approx((14 / 15 + 2 / 15) / 2)


def test_ece_takes_confidences_of_0_and_1() -> None:
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_perfect_ece_covers_a_perfect_model_and_not_an_overconfident_one() -> None:
    generator = np.random.default_rng(1)
    confidences = generator.uniform(0.3, 1, 2000)
    band = perfect_ece_p95(confidences)
    draws = [expected_calibration_error(confidences, generator.random(2000) < confidences) <= band for _ in range(300)]
    assert 0.90 <= np.mean(draws) <= 0.99
    assert expected_calibration_error(confidences, generator.random(2000) < confidences - 0.1) > band


def test_perfect_ece_is_the_same_each_time() -> None:
    confidences = np.linspace(0.2, 1, 50)
    assert perfect_ece_p95(confidences) == perfect_ece_p95(confidences)


def test_macro_f1_counts_an_intent_that_never_occurs() -> None:
    # F1 of intent 0: 2 * 1 / (2 * 1 + 1) = 2/3; of 1: 0; of 2, neither asked nor answered: 0.
    assert macro_f1(np.array([0, 1]), np.array([0, 0]), intents=3) == pytest.approx(2 / 9)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    assert out_of_scope_auroc(np.array([0.1, 0.6]), np.array([0.5, 0.7])) == pytest.approx(3 / 4)


def test_operating_point_takes_the_threshold_itself_as_out_of_scope() -> None:
    labels = np.array([0, 1, 2, 3])
    inside = Answers(np.array([0, 1, 0, 3]), np.ones(4), np.array([0.1, 0.2, 0.1, 0.5]))
    outside = Answers(np.array([0, 0]), np.ones(2), np.array([0.5, 0.4]))
    result = operating_point(0.5, inside, labels, outside)
    assert result.in_scope_accuracy == 0.5
    assert result.in_scope_kept == 0.75
    assert result.out_of_scope_recall == 0.5


def test_operating_point_without_out_of_scope_rows_has_no_recall() -> None:
    inside = Answers(np.array([0]), np.ones(1), np.array([0.1]))
    assert operating_point(0.5, inside, np.array([0]), None).out_of_scope_recall is None
