"""A bundle's answers beside the reference's: how often they agree, and whether the difference can be chance."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped]

from intently_build.calibration import Integers
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import Comparison, Quality
from intently_build.evaluation.per_intent import worst_hit


def compare(reference: tuple[Answers, Quality], other: tuple[Answers, Quality], labels: Integers) -> Comparison:
    """Returns `other` beside the reference, of the same rows: those with these right labels, then out-of-scope ones."""
    first, second = reference[0].intents, other[0].intents
    only_reference, only_other = discordant(first[: len(labels)] == labels, second[: len(labels)] == labels)
    return Comparison(
        agreement=float(np.mean(first == second)),
        only_reference_right=only_reference,
        only_this_right=only_other,
        mcnemar_p=mcnemar_p(only_reference, only_other),
        accuracy_lost=100 * (reference[1].accuracy - other[1].accuracy),
        macro_f1_lost=100 * (reference[1].macro_f1 - other[1].macro_f1),
        worst_hit=worst_hit(reference[1].intents, other[1].intents),
    )


def discordant(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns how many rows only the first has right, and how many only the second."""
    return int(np.sum(first & ~second)), int(np.sum(~first & second))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Returns the two-sided p of McNemar's exact test (McNemar 1947): 1 where no row tells the two apart.

    Were both equally good, each row that only one has right would be either's with a chance of one half.
    """
    rows = only_first + only_second
    return float(binomtest(only_first, rows, 0.5).pvalue) if rows else 1.0
