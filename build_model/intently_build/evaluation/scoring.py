"""From a bundle's answers to figures of how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intently.v1 import bundle_pb2
from intently_build.calibration import Floats, Integers
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.costs import mean_cost
from intently_build.evaluation.figures import OutOfScope, Point, Quality
from intently_build.evaluation.out_of_scope import operating_point, out_of_scope_figures
from intently_build.evaluation.per_intent import confusions, intent_figures, macro_f1
from intently_build.evaluation.reliability import expected_calibration_error, perfect_ece_p95, reliability_bins


@dataclass(frozen=True)
class Scale:
    """What answers are measured by.

    Attributes:
      right: (rows) the right intents of the in-scope rows, which come first; all others are out of scope.
      names: of the intents, in the order of the head's rows.
      losses: shares of the in-scope rows at which to give the out-of-scope recall.
      costs: (labels, labels) what a decision costs, out of scope last, or None.
    """

    right: Integers
    names: tuple[str, ...]
    losses: tuple[float, ...]
    costs: Floats | None


def score(scale: Scale, answers: Answers, calibration: bundle_pb2.Calibration) -> Quality:
    """Returns how good the answers to all rows are, with this calibration's thresholds."""
    inside, outside = answers.divide(len(scale.right))
    hits = inside.intents == scale.right
    return Quality(
        accuracy=float(np.mean(hits)),
        macro_f1=macro_f1(scale.right, inside.intents, len(scale.names)),
        ece=expected_calibration_error(inside.confidences, hits),
        ece_perfect_p95=perfect_ece_p95(inside.confidences),
        bins=reliability_bins(inside.confidences, hits),
        points=_points(calibration.operating_points, inside, scale.right, outside),
        out_of_scope=_out_of_scope(inside, outside, scale.losses),
        intents=intent_figures(scale.right, inside.intents, scale.names),
        confusions=confusions(scale.right, inside.intents, scale.names),
        mean_cost=_cost(scale, answers, calibration.out_of_scope_threshold),
    )


def _points(
    chosen: Sequence[bundle_pb2.OperatingPoint], inside: Answers, right: Integers, outside: Answers
) -> tuple[Point, ...]:
    others = outside if len(outside) else None
    return tuple(operating_point(point.name, point.threshold, inside, right, others) for point in chosen)


def _out_of_scope(inside: Answers, outside: Answers, losses: Sequence[float]) -> OutOfScope | None:
    return out_of_scope_figures(inside.out_of_scope, outside.out_of_scope, losses) if len(outside) else None


def _cost(scale: Scale, answers: Answers, threshold: float) -> float | None:
    if scale.costs is None:
        return None
    outside = len(scale.names)
    right = np.concatenate([scale.right, np.full(len(answers) - len(scale.right), outside)])
    return mean_cost(scale.costs, right, answers.decisions(threshold, outside))
