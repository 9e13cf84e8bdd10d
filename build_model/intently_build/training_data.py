"""The rows that a recipe's model is made from."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.overlap import HeldOut, Repeated, check_test_rows, held_out_rows
from intently_build.recipe import Recipe
from intently_build.rows import Labels, Row, SplitRows, read_labels, read_split, split_files


@dataclass(frozen=True)
class TrainingData:
    """What a run reads.

    Attributes:
      labels: what the rows are told apart by.
      train, validation: the rows.
      repeated: how far they repeat test rows.
    """

    labels: Labels
    train: SplitRows
    validation: SplitRows
    repeated: Repeated


def data_folder(recipe_path: Path, recipe: Recipe) -> Path:
    """Returns where the rows lie."""
    return recipe_path.parent / recipe.data.folder


def read_training_data(recipe_path: Path, recipe: Recipe) -> TrainingData:
    """Returns the recipe's labels, training and validation rows.

    They have been compared with the test rows, which serve for nothing else. Raises BuildError.
    """
    folder = data_folder(recipe_path, recipe)
    labels = read_labels(folder, recipe.data)
    train_rows, validation = (read_split(folder, recipe.data, labels, split) for split in ("train", "validation"))
    held_out = held_out_rows(folder, recipe.data, labels)
    return TrainingData(labels, train_rows, validation, check_test_rows(recipe.data, held_out, train_rows, validation))


def read_held_out(recipe_path: Path, recipe: Recipe, labels: Labels) -> HeldOut:
    """Returns the recipe's test rows; none if it names none. Raises BuildError."""
    return held_out_rows(data_folder(recipe_path, recipe), recipe.data, labels)


def data_files(recipe_path: Path, recipe: Recipe) -> dict[str, Path]:
    """Returns the files of labels, training and validation rows, by what each is for."""
    folder = data_folder(recipe_path, recipe)
    files = {"labels": folder / recipe.data.labels}
    for split in ("train", "validation"):
        for path, kind in zip(split_files(folder, recipe.data, split), ("", " out of scope"), strict=False):
            files[f"{split}{kind}"] = path
    return files


def test_files(recipe_path: Path, recipe: Recipe) -> dict[str, Path]:
    """Returns the files of the test rows, by what each is for: what a step leaves out depends on them."""
    if recipe.data.test is None:
        return {}
    paths = split_files(data_folder(recipe_path, recipe), recipe.data, "test")
    return {f"test {path.name}": path for path in paths}


def rows_to_train(recipe: Recipe, data: TrainingData) -> tuple[Row, ...]:
    """Returns the rows of one epoch, those out of scope as often as the recipe says."""
    repeat = recipe.data.out_of_scope.repeat if recipe.data.out_of_scope else 0
    return (*data.train.in_scope, *data.train.out_of_scope * repeat)
