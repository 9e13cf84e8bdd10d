"""How well out-of-scope rows are told apart, at the threshold set beforehand and at any other."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from intently_build.calibration import Floats, Integers
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import LossPoint, OutOfScope, Point

_CURVE = (*(n / 200 for n in range(40)), *(n / 20 for n in range(4, 21)))  # finer where one would want to be


def out_of_scope_figures(in_scope: Floats, out_of_scope: Floats, losses: Sequence[float]) -> OutOfScope:
    """Returns the figures of out-of-scope confidences of rows in and out of scope.

    Args:
      in_scope, out_of_scope: (rows) 0 to 1; neither empty.
      losses: shares of the in-scope rows, 0 to 1, at which to give the recall.
    """

    def point(loss: float) -> LossPoint:
        return LossPoint(loss, recall_at_loss(in_scope, out_of_scope, loss))

    return OutOfScope(
        auroc=out_of_scope_auroc(in_scope, out_of_scope),
        chosen=tuple(map(point, losses)),
        curve=tuple(map(point, _CURVE)),
    )


def out_of_scope_auroc(in_scope: Floats, out_of_scope: Floats) -> float:
    """Returns the area under the ROC curve of the out-of-scope confidences of rows in and out of scope."""
    truth = np.concatenate([np.zeros(len(in_scope)), np.ones(len(out_of_scope))])
    return float(roc_auc_score(truth, np.concatenate([in_scope, out_of_scope])))


def recall_at_loss(in_scope: Floats, out_of_scope: Floats, loss: float) -> float:
    """Returns the share of out-of-scope rows at or above the lowest threshold that loses at most this share in scope.

    That threshold lies right above the in-scope row that must be kept and has the greatest confidence.
    """
    lost = int(np.floor(loss * len(in_scope) + 1e-9))
    if lost >= len(in_scope):
        return 1.0
    last_kept = np.sort(in_scope)[::-1][lost]
    return float(np.mean(out_of_scope > last_kept))


def operating_point(
    name: str, threshold: float, in_scope: Answers, labels: Integers, out_of_scope: Answers | None
) -> Point:
    """Returns what a threshold gives: rows at or above it are taken as out of scope."""
    kept = in_scope.out_of_scope < threshold
    recall = None if out_of_scope is None else float(np.mean(out_of_scope.out_of_scope >= threshold))
    return Point(name, float(np.mean(kept & (in_scope.intents == labels))), float(np.mean(kept)), recall)
