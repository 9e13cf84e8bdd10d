"""The gate: how much accuracy and macro-F1 a bundle may lose against the reference."""

from dataclasses import dataclass

from intently_build.evaluation.figures import BundleResult, Results

ACCURACY_POINTS = 0.5
MACRO_F1_POINTS = 1.0

_ROUNDING = 1e-9  # a loss of exactly what is allowed passes, however it was summed


@dataclass(frozen=True)
class Gate:
    """Points (hundredths) that may be lost at most."""

    accuracy: float = ACCURACY_POINTS
    macro_f1: float = MACRO_F1_POINTS

    def failures(self, results: Results) -> tuple[str, ...]:
        """Returns a clause for each bundle and gate that it fails, with the numbers in it."""
        return tuple(clause for bundle in results.bundles for clause in self._of(bundle, results.reference or ""))

    def _of(self, bundle: BundleResult, reference: str) -> list[str]:
        found = bundle.comparison
        if found is None:
            return []
        checks = (
            ("accuracy", bundle.quality.accuracy, found.accuracy_lost, self.accuracy),
            ("macro-F1", bundle.quality.macro_f1, found.macro_f1_lost, self.macro_f1),
        )
        return [
            f"{bundle.name} fails the gate on {name}: {value:.2%} is {lost:.2f} points less than {reference} has, "
            f"{lost - allowed:.2f} more than the {allowed:g} allowed"
            for name, value, lost, allowed in checks
            if lost > allowed + _ROUNDING
        ]
