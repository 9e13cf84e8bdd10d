"""Temperature and thresholds, against cases that can be reckoned by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from intently_build.calibration import (
    Floats,
    balanced_threshold,
    fit_temperature,
    keep_threshold,
    match_confidence,
    out_of_scope_confidence,
    probabilities,
)


def test_temperature_of_two_labels_is_the_one_that_states_the_share_that_is_right() -> None:
    # The gap between two logits is 2, and three of four rows are right: sigmoid(2 / T) = 3/4, so T = 2 / ln 3.
    logits = np.array([[2.0, 0.0]] * 4)
    assert fit_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(2 / np.log(3), rel=1e-6)


def test_temperature_is_found_again_when_labels_are_drawn_from_the_model() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(20_000, 5)) * 3
    chances = probabilities(logits, 1.7)
    labels = (generator.random(len(logits))[:, None] > chances.cumsum(axis=1)).sum(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(1.7, rel=0.03)


def test_temperature_stays_in_range_when_every_row_is_right() -> None:
    assert fit_temperature(np.array([[1.0, 0.0]] * 3), np.array([0, 0, 0])) == pytest.approx(0.05)


def test_at_the_matching_temperature_the_mean_confidence_is_the_accuracy() -> None:
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(5_000, 6)) * 4
    labels = np.where(
        generator.random(5_000) < 0.7, np.argmax(logits[:, :5], axis=1), 5 - generator.integers(1, 6, 5_000)
    )
    temperature = match_confidence(logits, labels, 5)
    confidence = probabilities(logits, temperature)[:, :5].max(axis=1).mean()
    assert confidence == pytest.approx(np.mean(np.argmax(logits[:, :5], axis=1) == labels), abs=1e-5)
    assert match_confidence(np.array([[1.0, 0.0]] * 3), np.array([0, 0, 0]), 2) == pytest.approx(0.05)
    assert match_confidence(np.array([[1.0, 0.0]] * 3), np.array([1, 1, 1]), 2) == pytest.approx(20)


@given(stn.arrays(np.float64, (3, 4), elements=st.floats(-500, 500)), st.floats(0.05, 20))
def test_probabilities_are_probabilities(logits: Floats, temperature: float) -> None:
    calibrated = probabilities(logits, temperature)
    assert calibrated.sum(axis=1) == pytest.approx([1, 1, 1])
    assert (np.diff(np.take_along_axis(calibrated, logits.argsort(axis=1), axis=1)) >= 0).all()


def test_out_of_scope_confidence_counts_the_out_of_scope_label_in() -> None:
    calibrated = np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]])
    assert out_of_scope_confidence(calibrated, intents=2) == pytest.approx([0.5, 0.8])


def test_keep_threshold_lies_between_the_last_kept_and_the_next() -> None:
    scores = np.array([0.4, 0.1, 0.2, 0.3])
    assert keep_threshold(scores, 0.75) == pytest.approx(0.35)


@given(stn.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 0.999), unique=True), st.floats(0.01, 0.999))
def test_keep_threshold_keeps_the_share_and_not_a_row_more(scores: Floats, share: float) -> None:
    kept = int((scores < keep_threshold(scores, share)).sum())
    assert kept >= share * len(scores) - 1e-9
    assert kept - 1 < share * len(scores)


def test_balanced_threshold_weighs_accuracy_and_recall() -> None:
    # Taking 0.1 and 0.2 as in scope: accuracy 2/4, recall 2/2. Taking 0.6 too: 3/4 and 1/2. The first is better.
    in_scope = np.array([0.1, 0.2, 0.6, 0.9])
    right = np.array([True, True, True, False])
    assert balanced_threshold(in_scope, right, np.array([0.5, 0.7])) == pytest.approx(0.35)


def test_balanced_threshold_counts_only_right_answers() -> None:
    # The wrong answer at 0.4 is no loss, so the threshold may go below it and catch the out-of-scope row at 0.3.
    in_scope = np.array([0.1, 0.4])
    threshold = balanced_threshold(in_scope, np.array([True, False]), np.array([0.3]))
    assert 0.1 < threshold < 0.3
