"""What a bundle said about the rows of a split, in scope first."""

from dataclasses import dataclass

import numpy as np

from intently_build.calibration import Floats, Integers


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

    def __len__(self) -> int:
        return len(self.intents)

    def divide(self, count: int) -> "tuple[Answers, Answers]":
        """Returns the answers to the first `count` rows, and those to the others."""
        first = Answers(self.intents[:count], self.confidences[:count], self.out_of_scope[:count])
        return first, Answers(self.intents[count:], self.confidences[count:], self.out_of_scope[count:])

    def decisions(self, threshold: float, intents: int) -> Integers:
        """Returns (rows) what is acted upon: the first prediction, or `intents` for a row taken as out of scope."""
        return np.where(self.out_of_scope >= threshold, intents, self.intents)
