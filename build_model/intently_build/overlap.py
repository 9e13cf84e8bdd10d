"""Test rows that a model was trained or calibrated on: they would make it look better than it is."""

from pathlib import Path

from intently_build.errors import BuildError
from intently_build.recipe import Data
from intently_build.rows import Labels, Row, SplitRows, read_split


def check_test_rows(folder: Path, data: Data, labels: Labels, train: SplitRows, validation: SplitRows) -> None:
    """Checks that the test rows, if the recipe names any, are not those that the model is made from.

    Texts are compared without case and white space. Raises BuildError if more of them stand in the training rows or
    in the validation rows than `data.repeated_test_rows` allows, or if the test rows cannot be read.
    """
    test = test_texts(folder, data, labels)
    if not test:
        return
    for name, split in (("training", train), ("validation", validation)):
        _compare(test, set(_texts(split)), name, data)


def test_texts(folder: Path, data: Data, labels: Labels) -> list[str]:
    """Returns the test rows, folded; none if the recipe names none. Raises BuildError if they cannot be read."""
    return [] if data.test is None else _texts(read_split(folder, data, labels, "test"))


def _compare(test: list[str], seen: set[str], name: str, data: Data) -> None:
    repeated = [text for text in test if text in seen]
    share = len(repeated) / len(test)
    if share > data.repeated_test_rows:
        raise BuildError(
            f"data: {len(repeated)} of {len(test)} test rows ({share:.1%}) are {name} rows too; take them out of the "
            f"{name} rows, or, if the data set is published so, allow it with data.repeated_test_rows"
        )


def fold(text: str) -> str:
    """Returns the text without case and white space: texts that fold alike count as the same row."""
    return "".join(text.casefold().split())


def _texts(split: SplitRows) -> list[str]:
    rows: tuple[Row, ...] = (*split.in_scope, *split.out_of_scope)
    return [fold(row.text) for row in rows]
