"""Metrics, against cases that can be reckoned by hand and against other formulas for the same thing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, roc_curve

from intently_build.calibration import Floats
from intently_build.evaluation.agreement import discordant, mcnemar_p
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import IntentFigures
from intently_build.evaluation.out_of_scope import (
    operating_point,
    out_of_scope_auroc,
    out_of_scope_figures,
    recall_at_loss,
)
from intently_build.evaluation.pareto import pareto_front
from intently_build.evaluation.per_intent import confusions, intent_figures, macro_f1, worst_hit
from intently_build.evaluation.reliability import (
    BINS,
    expected_calibration_error,
    perfect_ece_p95,
    reliability_bins,
)

# Rows as (confidence, right); confidences on a grid meet the bins' borders and each other.
CONFIDENCE = st.one_of(st.floats(0, 1), st.integers(0, 30).map(lambda n: n / 30))
JUDGED = st.lists(st.tuples(CONFIDENCE, st.booleans()), min_size=1, max_size=60)
SCORES = st.lists(CONFIDENCE, min_size=1, max_size=40).map(np.array)
INTENTS = 5
NAMES = tuple("abcde")
ANSWERED = st.lists(st.tuples(st.integers(0, INTENTS - 1), st.integers(0, INTENTS - 1)), min_size=1, max_size=60)


def columns(rows: list[tuple[float, bool]]) -> tuple[Floats, NDArray[np.bool_]]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


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


@given(JUDGED)
def test_ece_is_what_a_loop_over_the_bins_gives(rows: list[tuple[float, bool]]) -> None:
    confidences, right = columns(rows)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in rows:
        bins.setdefault(min(max(math.ceil(confidence * 15) - 1, 0), 14), []).append((confidence, hit))
    expected = sum(abs(sum(hit for _, hit in part) - math.fsum(sure for sure, _ in part)) for part in bins.values())
    assert expected_calibration_error(confidences, right) == pytest.approx(expected / len(rows), abs=1e-12)


@given(JUDGED)
def test_the_bins_hold_each_row_once_and_give_the_ece(rows: list[tuple[float, bool]]) -> None:
    confidences, right = columns(rows)
    bins = reliability_bins(confidences, right)
    assert [(each.low, each.high) for each in bins] == [(n / BINS, (n + 1) / BINS) for n in range(BINS)]
    assert sum(each.rows for each in bins) == len(rows)
    assert sum(each.rows * each.accuracy for each in bins) == pytest.approx(sum(right))
    assert sum(each.rows * each.confidence for each in bins) == pytest.approx(sum(confidences))
    gap = sum(each.rows * abs(each.accuracy - each.confidence) for each in bins) / len(rows)
    assert expected_calibration_error(confidences, right) == pytest.approx(gap, abs=1e-12)


@given(JUDGED)
def test_ece_lies_between_the_mean_gap_and_1(rows: list[tuple[float, bool]]) -> None:
    confidences, right = columns(rows)
    error = expected_calibration_error(confidences, right)
    assert abs(np.mean(right) - np.mean(confidences)) - 1e-9 <= error <= 1 + 1e-9


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


@given(ANSWERED)
def test_the_figures_of_intents_are_those_of_the_confusion_matrix(rows: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(column) for column in zip(*rows, strict=True))
    matrix = confusion_matrix(labels, predicted, labels=range(INTENTS))
    found = intent_figures(labels, predicted, NAMES)
    for place, each in enumerate(found):
        asked, answered, hits = matrix[place].sum(), matrix[:, place].sum(), matrix[place, place]
        assert each.rows == asked
        assert each.recall == pytest.approx(hits / asked if asked else 0)
        assert each.precision == pytest.approx(hits / answered if answered else 0)
        assert each.f1 == pytest.approx(2 * hits / (asked + answered) if asked + answered else 0)
    assert macro_f1(labels, predicted, INTENTS) == pytest.approx(np.mean([each.f1 for each in found]))
    wrong = {(each.right, each.predicted): each.rows for each in confusions(labels, predicted, NAMES)}
    apart = {(NAMES[i], NAMES[j]): matrix[i, j] for i in range(INTENTS) for j in range(INTENTS) if i != j}
    assert wrong == {pair: count for pair, count in apart.items() if count}
    assert 1 - sum(wrong.values()) / len(rows) == pytest.approx(accuracy_score(labels, predicted))


def test_confusions_come_with_the_most_frequent_first() -> None:
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([1, 1, 1, 0, 1])
    found = [(each.right, each.predicted, each.rows) for each in confusions(labels, predicted, NAMES)]
    assert found == [("a", "b", 2), ("c", "a", 1), ("c", "b", 1)]


def test_worst_hit_goes_by_rows_lost_and_leaves_out_what_won() -> None:
    def intents(*recalls: float) -> list[IntentFigures]:
        sizes = (10, 100, 10, 10)
        return [IntentFigures(NAMES[n], sizes[n], 1, recall, 1) for n, recall in enumerate(recalls)]

    found = worst_hit(intents(1, 1, 0.5, 0.7), intents(0.5, 0.9, 0.9, 0.7))
    assert [(each.intent, each.rows, each.reference_recall, each.recall) for each in found] == [
        ("b", 100, 1, 0.9),
        ("a", 10, 1, 0.5),
    ]


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    assert out_of_scope_auroc(np.array([0.1, 0.6]), np.array([0.5, 0.7])) == pytest.approx(3 / 4)


@given(SCORES, SCORES)
def test_auroc_counts_pairs_and_halves_ties(inside: Floats, outside: Floats) -> None:
    over = (outside[:, None] > inside[None]).mean()
    ties = (outside[:, None] == inside[None]).mean()
    assert out_of_scope_auroc(inside, outside) == pytest.approx(over + ties / 2)


@given(SCORES, SCORES, st.one_of(st.floats(0, 1), st.integers(0, 40).map(lambda n: n / 40)))
def test_recall_at_a_loss_is_the_best_of_all_thresholds_within_it(inside: Floats, outside: Floats, loss: float) -> None:
    truth = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    lost, recalled, _ = roc_curve(truth, np.concatenate([inside, outside]), drop_intermediate=False)
    assert recall_at_loss(inside, outside, loss) == pytest.approx(recalled[lost <= loss + 1e-9].max())


def test_the_curve_goes_from_no_loss_to_all() -> None:
    generator = np.random.default_rng(0)
    figures = out_of_scope_figures(generator.random(300) ** 2, generator.random(100), (0.0, 0.05))
    losses = [point.in_scope_loss for point in figures.curve]
    recalls = [point.out_of_scope_recall for point in figures.curve]
    assert (losses[0], losses[-1], recalls[-1]) == (0, 1, 1)
    assert losses == sorted(set(losses))
    assert recalls == sorted(recalls)
    assert [point.in_scope_loss for point in figures.chosen] == [0.0, 0.05]


def test_operating_point_takes_the_threshold_itself_as_out_of_scope() -> None:
    labels = np.array([0, 1, 2, 3])
    inside = Answers(np.array([0, 1, 0, 3]), np.ones(4), np.array([0.1, 0.2, 0.1, 0.5]))
    outside = Answers(np.array([0, 0]), np.ones(2), np.array([0.5, 0.4]))
    result = operating_point("half", 0.5, inside, labels, outside)
    assert result.in_scope_accuracy == 0.5
    assert result.in_scope_kept == 0.75
    assert result.out_of_scope_recall == 0.5


def test_operating_point_without_out_of_scope_rows_has_no_recall() -> None:
    inside = Answers(np.array([0]), np.ones(1), np.array([0.1]))
    assert operating_point("half", 0.5, inside, np.array([0]), None).out_of_scope_recall is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_tail_of_fair_coins(first: int, second: int) -> None:
    rows, fewer = first + second, min(first, second)
    tail = sum(math.comb(rows, hits) for hits in range(fewer + 1)) / 2**rows
    assert mcnemar_p(first, second) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar_p(first, second) == mcnemar_p(second, first)


def test_mcnemar_of_a_hand_computed_case() -> None:
    # 1 against 9: two tails of (1 + 10) / 2^10 each.
    assert mcnemar_p(1, 9) == pytest.approx(2 * 11 / 1024)


def test_discordant_rows_are_those_that_one_has_right() -> None:
    first, second = np.array([True, True, False, True, False]), np.array([True, False, True, False, False])
    assert discordant(first, second) == (2, 1)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=20))
def test_nothing_is_better_than_the_front_and_something_than_all_else(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)

    def beaten(index: int) -> bool:
        x, y = points[index]
        return any((u, v) != (x, y) and u >= x and v >= y for u, v in points)

    assert set(front) == {index for index in range(len(points)) if not beaten(index)}
    assert [points[index][0] for index in front] == sorted(points[index][0] for index in front)
    heights = [points[index][1] for index in front]
    assert heights == sorted(heights, reverse=True)
