"""How far confidence is from the truth: reliability bins, and the expected calibration error."""

import numpy as np
from numpy.typing import NDArray

from intently_build.calibration import Floats
from intently_build.evaluation.figures import Bin

BINS = 15
DRAWS = 2_000


def reliability_bins(confidences: Floats, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Returns BINS bins of equal width, each closed above.

    Args:
      confidences: (rows) 0 to 1.
      right: (rows) whether the answer is right.
    """
    membership = _bin_of(confidences)
    rows = np.bincount(membership, minlength=BINS)
    sure = np.bincount(membership, weights=confidences, minlength=BINS) / np.maximum(rows, 1)
    hits = np.bincount(membership, weights=right, minlength=BINS) / np.maximum(rows, 1)
    return tuple(Bin(n / BINS, (n + 1) / BINS, int(rows[n]), float(sure[n]), float(hits[n])) for n in range(BINS))


def expected_calibration_error(confidences: Floats, right: NDArray[np.bool_]) -> float:
    """Returns the ECE (Guo et al. 2017): the mean distance of confidence from accuracy over the bins, by their rows.

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


def _errors(confidences: Floats, right: NDArray[np.bool_]) -> Floats:
    """Returns the ECE of each row of `right` (draws, rows)."""
    membership = np.eye(BINS)[_bin_of(confidences)]
    gaps = right.astype(float) @ membership - confidences @ membership
    return np.asarray(np.abs(gaps).sum(axis=1) / len(confidences))


def _bin_of(confidences: Floats) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)
