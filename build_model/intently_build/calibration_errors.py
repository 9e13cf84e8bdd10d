"""How far confidences are from the truth before and after a calibration, on the rows that it was fitted on."""

from dataclasses import dataclass

import numpy as np

from intently_build.calibration import Floats, match_confidence, probabilities
from intently_build.evaluation.reliability import expected_calibration_error
from intently_build.fitting import ValidationLogits


@dataclass(frozen=True)
class CalibrationErrors:
    """The expected calibration error of the first predictions on the in-scope rows. Shares.

    Attributes:
      before: at the former temperature.
      after: at the new one, which was fitted on these very rows.
      held_out: each half of the rows at the temperature that the other half gives; None of a single row.
    """

    before: float
    after: float
    held_out: float | None

    def __str__(self) -> str:
        other = "" if self.held_out is None else f"; {self.held_out:.4f} by halves, each at the other's temperature"
        return f"ECE on these rows {self.before:.4f} before, {self.after:.4f} after{other}"


def calibration_errors(logits: ValidationLogits, before: float, after: float) -> CalibrationErrors:
    """Returns the errors at the two temperatures."""
    rows = len(logits.labels)
    halves = [np.arange(start, rows, 2) for start in (0, 1)]
    by_halves = np.ones(rows)
    for half, other in (halves, halves[::-1]):
        if rows > 1:
            by_halves[half] = match_confidence(logits.in_scope[other], logits.labels[other], logits.intents)
    return CalibrationErrors(
        _error(logits, np.full(rows, before)),
        _error(logits, np.full(rows, after)),
        _error(logits, by_halves) if rows > 1 else None,
    )


def _error(logits: ValidationLogits, temperatures: Floats) -> float:
    """Returns the error with each row at its own temperature."""
    calibrated = probabilities(logits.in_scope / temperatures[:, None], 1.0)[:, : logits.intents]
    return expected_calibration_error(calibrated.max(axis=1), calibrated.argmax(axis=1) == logits.labels)
