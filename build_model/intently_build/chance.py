"""Whether a model tells intents at all: its right answers on the validation rows, beside those of a guess."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest  # type: ignore[import-untyped]

from intently_build.fitting import ValidationLogits

LIKELY = 0.01  # a guess that does as well as this or better this often is not told from


@dataclass(frozen=True)
class AgainstChance:
    """How often first predictions are right on in-scope validation rows.

    Attributes:
      rows: how many rows.
      right: how many of them.
      guess: share of the rows that are of the most frequent intent: who always says that one is right so often.
    """

    rows: int
    right: int
    guess: float

    @property
    def accuracy(self) -> float:
        """A share."""
        return self.right / self.rows

    @property
    def better(self) -> bool:
        """Whether a guess that is right with a chance of `guess` does as well in less than LIKELY of all cases."""
        return bool(binomtest(self.right, self.rows, self.guess, alternative="greater").pvalue < LIKELY)


def against_chance(logits: ValidationLogits) -> AgainstChance:
    """Returns it for these logits."""
    predicted = np.argmax(logits.in_scope[:, : logits.intents], axis=1)
    most = max(Counter(logits.labels.tolist()).values())
    rows = len(logits.labels)
    return AgainstChance(rows, int(np.sum(predicted == logits.labels)), most / rows)
