"""From logits to a decision: temperature, out of scope, candidates, ambiguity."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intently_server.model import Calibration
from intently_server.types import Decision, Outcome, Prediction

Floats = NDArray[np.float64]


def probabilities(logits: NDArray[np.floating], temperature: float) -> Floats:
    """Calibrated probabilities: softmax(logits / temperature), in float64, of the logits' shape (n,).

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max())
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float64)


def out_of_scope_confidence(all_probabilities: Floats, intents: int) -> float:
    """1 minus the greatest probability among the first `intents` rows, kept in [0, 1]."""
    return float(min(1.0, max(0.0, 1.0 - all_probabilities[:intents].max())))


def decide(
    logits: NDArray[np.floating],
    intents: Sequence[str],
    calibration: Calibration,
    *,
    candidates: Sequence[int] = (),
    top_k: int,
    min_confidence: float = 0.0,
) -> Decision:
    """Decides what an utterance means.

    Args:
        logits: Shape (rows of the head,): the intents' rows first.
        intents: Names of the first rows.
        calibration: The bundle's.
        candidates: Rows that make sense here; empty for all. Out of scope is decided before they are applied.
        top_k: Predictions to return at most.
        min_confidence: Predictions below it are left out.

    Raises:
        ValueError: if there are fewer logits than intents.
    """
    if len(logits) < len(intents):
        raise ValueError(f"{len(logits)} logits are too few for {len(intents)} intents")
    full = probabilities(logits, calibration.temperature)
    out_of_scope = out_of_scope_confidence(full, len(intents))
    if len(candidates):
        names: Sequence[str] = [intents[row] for row in candidates]
        scores = logits[np.asarray(candidates, dtype=np.intp)]
        confidences = probabilities(scores, calibration.temperature)
    else:
        names, scores, confidences = intents, logits[: len(intents)], full[: len(intents)]
    order = np.argsort(-confidences, kind="stable")
    first = order[: max(top_k, 2)]
    # As lists: to take numbers out of arrays one by one costs more than all the rest.
    listed = zip(first.tolist(), confidences[first].tolist(), scores[first].tolist(), strict=True)
    best = [
        Prediction(names[row], confidence, score) for row, confidence, score in listed if confidence >= min_confidence
    ]
    close = len(order) > 1 and confidences[order[0]] - confidences[order[1]] < calibration.ambiguity_margin
    if out_of_scope >= calibration.out_of_scope_threshold:
        outcome = Outcome.OUT_OF_SCOPE
    elif close or not best:
        outcome = Outcome.AMBIGUOUS
    else:
        outcome = Outcome.MATCHED
    return Decision(outcome, tuple(best[:top_k]), out_of_scope)
