"""A linear teacher: a support vector machine over n-grams of words and characters, fitted on the training rows."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from intently_build.calibration import Floats, fit_temperature, probabilities
from intently_build.rows import Row

_REGULARISATION = 0.5  # LinearSVC's C; 0.25 to 1 make no difference on CLINC150


class NgramTeacher:
    """Tells intents by which n-grams occur.

    Args:
      rows: what it is fitted on.
      validation: rows on which its margins become probabilities, by a temperature.
      labels: how many there are; one that no row has gets next to no probability.
      unit: whether words are parted by spaces.
    """

    def __init__(self, rows: Sequence[Row], validation: Sequence[Row], labels: int, unit: str) -> None:
        self._labels = labels
        self._model = make_pipeline(_features(unit), LinearSVC(C=_REGULARISATION, random_state=0))
        self._model.fit([row.text for row in rows], [row.label for row in rows])
        self._temperature = fit_temperature(
            self._margins([row.text for row in validation]), np.array([row.label for row in validation])
        )

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Returns (texts, labels)."""
        return probabilities(self._margins(texts), self._temperature)

    def _margins(self, texts: Sequence[str]) -> Floats:
        margins = np.full((len(texts), self._labels), -2.0)
        found = self._model.decision_function(list(texts))
        if found.ndim == 1:  # of two labels there is one margin
            found = np.stack([-found, found], axis=1)
        margins[:, self._model.classes_] = found
        return margins


def _features(unit: str) -> object:
    kinds = [("word", (1, 2)), ("char_wb", (2, 5))] if unit == "word" else [("char", (1, 4))]
    return make_union(*(TfidfVectorizer(analyzer=kind, ngram_range=n, sublinear_tf=True) for kind, n in kinds))
