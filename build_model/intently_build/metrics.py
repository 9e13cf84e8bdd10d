"""How well answers are: accuracy, macro-F1, calibration error, and what an out-of-scope threshold gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from intently_build.calibration import Floats, Integers

BINS = 15
DRAWS = 2_000


@dataclass(frozen=True)
class Answers:
    """What a model said about some rows.

    Attributes:
      intents: (rows) the first prediction, as a row of the head.
      confidences: (rows) its confidence.
      out_of_scope: (rows) the out-of-scope confidence.
    """

    intents: Integers
    confidences: Floats
    out_of_scope: Floats


@dataclass(frozen=True)
class PointResult:
    """What a threshold gives; the recall is None where no row is out of scope."""

    in_scope_accuracy: float
    in_scope_kept: float
    out_of_scope_recall: float | None


def macro_f1(labels: Integers, predicted: Integers, intents: int) -> float:
    """Returns the unweighted mean of the F1 scores of all intents; one that never occurs counts 0."""
    return float(f1_score(labels, predicted, labels=np.arange(intents), average="macro", zero_division=0))


def expected_calibration_error(confidences: Floats, right: NDArray[np.bool_]) -> float:
    """Returns the ECE (Guo et al. 2017) with BINS bins of equal width, each closed above.

    Args:
      confidences: (rows) 0 to 1.
      right: (rows) whether the answer is right.
    """
    return float(_errors(confidences, right[None])[0])


def perfect_ece_p95(confidences: Floats, seed: int = 0) -> float:
    """Returns the 95th percentile of the ECE of a perfectly calibrated model with these confidences.

    Such a model is right with just the probability that it states; outcomes are drawn DRAWS times.
    """
    outcomes = np.random.default_rng(seed).random((DRAWS, len(confidences))) < confidences
    return float(np.percentile(_errors(confidences, outcomes), 95))


def out_of_scope_auroc(in_scope: Floats, out_of_scope: Floats) -> float:
    """Returns the area under the ROC curve of the out-of-scope confidences of rows in and out of scope."""
    truth = np.concatenate([np.zeros(len(in_scope)), np.ones(len(out_of_scope))])
    return float(roc_auc_score(truth, np.concatenate([in_scope, out_of_scope])))


def operating_point(threshold: float, in_scope: Answers, labels: Integers, out_of_scope: Answers | None) -> PointResult:
    """Returns what a threshold gives: rows at or above it are taken as out of scope."""
    kept = in_scope.out_of_scope < threshold
    recall = None if out_of_scope is None else float(np.mean(out_of_scope.out_of_scope >= threshold))
    return PointResult(float(np.mean(kept & (in_scope.intents == labels))), float(np.mean(kept)), recall)


def _errors(confidences: Floats, right: NDArray[np.bool_]) -> Floats:
    """Returns the ECE of each row of `right` (draws, rows)."""
    bins = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    membership = np.eye(BINS)[bins]
    gaps = right.astype(float) @ membership - confidences @ membership
    return np.asarray(np.abs(gaps).sum(axis=1) / len(confidences))
