"""The calibration of a bundle: temperature, operating points and what they rest on, in the manifest's words."""

from dataclasses import dataclass

import numpy as np

from intently.v1 import bundle_pb2
from intently_build.calibration import (
    Floats,
    Integers,
    balanced_threshold,
    keep_threshold,
    match_confidence,
    out_of_scope_confidence,
    probabilities,
)
from intently_build.recipe import Calibration

RULES = {
    "keep-99": "keeps 99 % of the in-scope {rows} in scope",
    "keep-95": "keeps 95 % of the in-scope {rows} in scope",
    "balanced": "best mean of in-scope accuracy and out-of-scope recall on the {rows}",
}
VALIDATION = "validation rows"


@dataclass(frozen=True)
class ValidationLogits:
    """The model's logits on validation rows, which weights as stored give.

    Attributes:
      in_scope: (rows, labels).
      labels: (rows) the right label of each in-scope row.
      out_of_scope: (rows, labels); may have no rows.
      intents: how many of the labels are intents.
    """

    in_scope: Floats
    labels: Integers
    out_of_scope: Floats
    intents: int


def fit_calibration(settings: Calibration, logits: ValidationLogits, rows: str = VALIDATION) -> bundle_pb2.Calibration:
    """Returns the calibration that a manifest states; `rows` is what it calls the rows."""
    temperature = match_confidence(logits.in_scope, logits.labels, logits.intents)
    thresholds = {name: _threshold(name, logits, temperature) for name in settings.operating_points}
    default = settings.default_operating_point
    return bundle_pb2.Calibration(
        temperature=temperature,
        out_of_scope_score=bundle_pb2.OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX,
        out_of_scope_threshold=thresholds[default],
        ambiguity_margin=settings.ambiguity_margin,
        fitted_on=(
            f"Temperature: the mean confidence is the accuracy on {len(logits.in_scope)} in-scope {rows}. "
            f"Threshold: operating point {default}, which {RULES[default].format(rows=rows)} "
            f"({len(logits.in_scope)} in scope, {len(logits.out_of_scope)} out of scope). "
            "Ambiguity margin: set by the recipe, not fitted."
        ),
        operating_points=[
            bundle_pb2.OperatingPoint(name=name, rule=RULES[name].format(rows=rows), threshold=threshold)
            for name, threshold in thresholds.items()
        ],
    )


def _threshold(name: str, logits: ValidationLogits, temperature: float) -> float:
    calibrated = probabilities(logits.in_scope, temperature)
    in_scope = out_of_scope_confidence(calibrated, logits.intents)
    if name.startswith("keep-"):
        return keep_threshold(in_scope, int(name.removeprefix("keep-")) / 100)
    right = np.argmax(calibrated[:, : logits.intents], axis=1) == logits.labels
    outside = out_of_scope_confidence(probabilities(logits.out_of_scope, temperature), logits.intents)
    return balanced_threshold(in_scope, right, outside)
