"""Rows that nobody learnt: of some data sets, training rows stand among those that a bundle is asked about."""

from collections.abc import Mapping, Sequence

import numpy as np

from intently_build.errors import BuildError
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.candidate import Candidate
from intently_build.evaluation.dataset import Dataset, Source, read_dataset
from intently_build.evaluation.figures import NewRows
from intently_build.overlap import fold


def training_texts(candidate: Candidate, source: Source) -> list[str] | None:
    """Returns the training rows of the data set, or None: whoever has a bundle need not have them."""
    try:
        return read_dataset(candidate.folder, candidate.manifest, Source("train", source.recipe, source.folder)).texts
    except BuildError:
        return None


def new_rows(dataset: Dataset, training: Sequence[str] | None, answers: Mapping[str, Answers]) -> NewRows | None:
    """Returns how well bundles do on the in-scope rows that are no training rows, by their names.

    None where the training rows are not known, or where all rows are among them.
    """
    if training is None:
        return None
    learnt = {fold(text) for text in training}
    new = np.array([fold(row.text) not in learnt for row in dataset.rows.in_scope])
    if not new.any():
        return None
    right = dataset.right[new]
    return NewRows(
        rows=int(new.sum()),
        repeated=int((~new).sum()),
        accuracy={name: float(np.mean(each.intents[: len(new)][new] == right)) for name, each in answers.items()},
    )


def in_words(found: NewRows) -> str:
    """Returns what to tell of it, in a line."""
    accuracies = ", ".join(f"{name} {accuracy:.2%}" for name, accuracy in found.accuracy.items())
    return (
        f"{found.repeated} of the rows in scope are training rows of the data set too; "
        f"accuracy on the other {found.rows}: {accuracies}"
    )
