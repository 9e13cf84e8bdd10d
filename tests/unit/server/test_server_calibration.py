"""Decisions from logits: probabilities that sum to one, candidates, the order, and which outcome goes before which."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from intently_server.calibration import decide, out_of_scope_confidence, probabilities
from intently_server.model import Calibration
from intently_server.types import Outcome

Logits = NDArray[np.float32]

logit_lists = st.lists(st.floats(-80, 80, width=32), min_size=3, max_size=40)
logit_arrays = logit_lists.map(lambda values: np.asarray(values, dtype=np.float32))
temperatures = st.floats(0.05, 20)
PLAIN = Calibration(temperature=1.0, out_of_scope_threshold=2.0, ambiguity_margin=0.0)


def named(count: int) -> list[str]:
    return [f"intent_{row}" for row in range(count)]


def logits_of(*shares: float) -> Logits:
    return np.log(np.asarray(shares, dtype=np.float64)).astype(np.float32)


@given(logits=logit_arrays, temperature=temperatures)
def test_probabilities_are_a_distribution_in_the_order_of_the_logits(logits: Logits, temperature: float) -> None:
    result = probabilities(logits, temperature)

    assert result.sum() == pytest.approx(1.0, abs=1e-12)
    assert (result >= 0).all()
    order = np.argsort(logits, kind="stable")
    assert (np.diff(result[order]) >= 0).all()


@given(logits=logit_arrays, temperature=temperatures, shift=st.floats(-1000, 1000))
def test_probabilities_do_not_change_with_a_common_shift(logits: Logits, temperature: float, shift: float) -> None:
    shifted = probabilities(logits.astype(np.float64) + shift, temperature)

    assert shifted == pytest.approx(probabilities(logits, temperature), abs=1e-9)


@given(logits=logit_arrays)
def test_a_higher_temperature_is_less_sure(logits: Logits) -> None:
    assert probabilities(logits, 4.0).max() <= probabilities(logits, 2.0).max() + 1e-12


def test_probabilities_of_logits_too_large_for_an_exponential() -> None:
    assert probabilities(np.asarray([1e30, 0.0]), 1.0) == pytest.approx([1.0, 0.0])


@given(logits=logit_arrays, temperature=temperatures, has_label=st.booleans())
def test_out_of_scope_is_what_the_best_intent_leaves(logits: Logits, temperature: float, has_label: bool) -> None:
    intents = len(logits) - has_label
    full = probabilities(logits, temperature)

    confidence = out_of_scope_confidence(full, intents)

    assert 0.0 <= confidence <= 1.0
    assert confidence == pytest.approx(1.0 - max(full[:intents]), abs=1e-12)


@given(logits=logit_arrays, temperature=temperatures, has_label=st.booleans(), top_k=st.integers(1, 60))
def test_predictions_are_the_best_intents_in_order(
    logits: Logits, temperature: float, has_label: bool, top_k: int
) -> None:
    names = named(len(logits) - has_label)
    full = probabilities(logits, temperature)

    decision = decide(logits, names, Calibration(temperature, 2.0, 0.0), top_k=top_k)

    assert len(decision.predictions) == min(top_k, len(names))
    confidences = [prediction.confidence for prediction in decision.predictions]
    assert confidences == sorted(full[: len(names)], reverse=True)[:top_k]
    for prediction in decision.predictions:
        row = names.index(prediction.intent)
        assert prediction.confidence == full[row]
        assert prediction.raw_score == logits[row]
    assert len({prediction.intent for prediction in decision.predictions}) == len(decision.predictions)


@given(logits=logit_arrays, temperature=temperatures, data=st.data())
def test_candidates_are_renormalised_and_leave_out_of_scope_alone(
    logits: Logits, temperature: float, data: st.DataObject
) -> None:
    names = named(len(logits))
    rows = data.draw(st.lists(st.integers(0, len(logits) - 1), min_size=1, unique=True))
    calibration = Calibration(temperature, 2.0, 0.0)

    free = decide(logits, names, calibration, top_k=len(names))
    masked = decide(logits, names, calibration, candidates=rows, top_k=len(names))

    assert {prediction.intent for prediction in masked.predictions} == {names[row] for row in rows}
    assert sum(prediction.confidence for prediction in masked.predictions) == pytest.approx(1.0, abs=1e-9)
    assert masked.out_of_scope_confidence == free.out_of_scope_confidence
    kept = [prediction for prediction in free.predictions if names.index(prediction.intent) in rows]
    share = sum(prediction.confidence for prediction in kept)
    if share > 1e-6:
        expected = {prediction.intent: prediction.confidence / share for prediction in kept}
        assert {p.intent: p.confidence for p in masked.predictions} == pytest.approx(expected, abs=1e-6)


@given(logits=logit_arrays, min_confidence=st.floats(0, 1), top_k=st.integers(1, 5))
def test_min_confidence_leaves_out_what_is_below(logits: Logits, min_confidence: float, top_k: int) -> None:
    names = named(len(logits))

    free = decide(logits, names, PLAIN, top_k=top_k)
    strict = decide(logits, names, PLAIN, top_k=top_k, min_confidence=min_confidence)

    assert strict.predictions == tuple(p for p in free.predictions if p.confidence >= min_confidence)
    assert strict.outcome is (Outcome.MATCHED if strict.predictions else Outcome.AMBIGUOUS)


@given(logits=logit_arrays, threshold=st.floats(0, 1), margin=st.floats(0, 1), min_confidence=st.floats(0, 1))
def test_out_of_scope_goes_before_ambiguous_before_matched(
    logits: Logits, threshold: float, margin: float, min_confidence: float
) -> None:
    names = named(len(logits))
    calibration = Calibration(1.0, threshold, margin)
    best, second = sorted(probabilities(logits, 1.0), reverse=True)[:2]

    decision = decide(logits, names, calibration, top_k=1, min_confidence=min_confidence)

    if decision.out_of_scope_confidence >= threshold:
        assert decision.outcome is Outcome.OUT_OF_SCOPE
    elif best - second < margin or best < min_confidence:
        assert decision.outcome is Outcome.AMBIGUOUS
    else:
        assert decision.outcome is Outcome.MATCHED


def test_the_out_of_scope_label_is_never_predicted_but_takes_its_share() -> None:
    decision = decide(logits_of(0.2, 0.1, 0.7), named(2), PLAIN, top_k=3)

    assert [prediction.intent for prediction in decision.predictions] == ["intent_0", "intent_1"]
    assert [prediction.confidence for prediction in decision.predictions] == pytest.approx([0.2, 0.1], abs=1e-6)
    assert decision.out_of_scope_confidence == pytest.approx(0.8, abs=1e-6)


def test_one_prediction_may_still_be_ambiguous_for_its_runner_up() -> None:
    calibration = Calibration(1.0, 2.0, ambiguity_margin=0.1)

    close = decide(logits_of(0.48, 0.45, 0.07), named(3), calibration, top_k=1)
    clear = decide(logits_of(0.60, 0.30, 0.10), named(3), calibration, top_k=1)

    assert (close.outcome, len(close.predictions)) == (Outcome.AMBIGUOUS, 1)
    assert clear.outcome is Outcome.MATCHED


def test_a_single_candidate_has_no_runner_up() -> None:
    calibration = Calibration(1.0, 2.0, ambiguity_margin=0.5)

    decision = decide(logits_of(0.5, 0.4, 0.1), named(3), calibration, candidates=[2], top_k=5)

    assert decision.outcome is Outcome.MATCHED
    assert {p.intent: p.confidence for p in decision.predictions} == pytest.approx({"intent_2": 1.0})


def test_fewer_logits_than_intents_are_no_decision() -> None:
    with pytest.raises(ValueError, match="2 logits are too few for 3 intents"):
        decide(logits_of(0.5, 0.5), named(3), PLAIN, top_k=5)
