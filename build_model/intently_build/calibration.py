"""Temperature and out-of-scope thresholds, fitted on validation rows."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def probabilities(logits: Floats, temperature: float) -> Floats:
    """Returns the softmax over the last axis of logits divided by the temperature."""
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def fit_temperature(logits: Floats, labels: Integers, lowest: float = 0.05, highest: float = 20.0) -> float:
    """Returns the temperature with the least negative log-likelihood (Guo et al. 2017).

    The loss is convex in the inverse temperature b, and its slope is the mean over the rows of E_p[z] - z_label, z
    being the logits and p their softmax at b: the root of the slope is found by halving.

    Args:
      logits: (rows, labels).
      labels: (rows) the right label of each.
      lowest, highest: the range to look in.
    """
    right = logits[np.arange(len(labels)), labels]
    low, high = 1 / highest, 1 / lowest
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        slope = np.mean((probabilities(logits, 1 / middle) * logits).sum(axis=1) - right)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 2 / (low + high)


def match_confidence(
    logits: Floats, labels: Integers, intents: int, lowest: float = 0.05, highest: float = 20.0
) -> float:
    """Returns the temperature at which the mean confidence is the accuracy, to six digits.

    Both are those of the first prediction, whatever the outcome. The mean confidence falls as the temperature rises:
    where they meet is found by halving. Of a model that was distilled, whose likelihood speaks of its teachers too, it
    gives probabilities that are closer to the shares of right answers than the likeliest temperature does.

    Args:
      logits: (rows, labels).
      labels: (rows) the right label of each.
      intents: how many of the labels are intents; no other is ever predicted.
      lowest, highest: the range to look in.
    """
    accuracy = np.mean(np.argmax(logits[:, :intents], axis=1) == labels)
    low, high = lowest, highest
    while high - low > 1e-9 * high:
        middle = math.sqrt(low * high)
        confidence = probabilities(logits, middle)[:, :intents].max(axis=1).mean()
        low, high = (middle, high) if confidence > accuracy else (low, middle)
    return float(f"{low:.6g}")


def out_of_scope_confidence(calibrated: Floats, intents: int) -> Floats:
    """Returns 1 minus the greatest probability of an intent, for calibrated probabilities (rows, labels)."""
    return np.asarray(1 - calibrated[:, :intents].max(axis=1))


def keep_threshold(in_scope: Floats, share: float) -> float:
    """Returns the threshold that keeps at least `share` of the rows, given their out-of-scope confidences.

    It lies half-way between the last one kept and the next, so that rounding in another engine moves no row.
    """
    ordered = np.sort(in_scope)
    kept = math.ceil(share * len(ordered))
    last = ordered[kept - 1]
    following = ordered[kept] if kept < len(ordered) else 1.0
    return float(max((last + following) / 2, np.nextafter(last, 2)))


def balanced_threshold(in_scope: Floats, right: NDArray[np.bool_], out_of_scope: Floats) -> float:
    """Returns the threshold with the best mean of in-scope accuracy and out-of-scope recall.

    Args:
      in_scope: out-of-scope confidence of each in-scope row.
      right: whether the first prediction of each in-scope row is right.
      out_of_scope: out-of-scope confidence of each out-of-scope row.
    """
    scores = np.unique(np.concatenate([in_scope, out_of_scope, [0.0, 1.0]]))
    middles = (scores[:-1] + scores[1:]) / 2
    accuracy = np.searchsorted(np.sort(in_scope[right]), middles) / len(in_scope)
    recall = 1 - np.searchsorted(np.sort(out_of_scope), middles) / len(out_of_scope)
    return float(middles[np.argmax(accuracy + recall)])
