"""The rows that a recipe's model is made from."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.overlap import check_test_rows
from intently_build.recipe import Recipe
from intently_build.rows import Labels, Row, SplitRows, read_labels, read_split, split_files


@dataclass(frozen=True)
class TrainingData:
    """What a run reads."""

    labels: Labels
    train: SplitRows
    validation: SplitRows


def data_folder(recipe_path: Path, recipe: Recipe) -> Path:
    """Returns where the rows lie."""
    return recipe_path.parent / recipe.data.folder


def read_training_data(recipe_path: Path, recipe: Recipe) -> TrainingData:
    """Returns the recipe's labels, training and validation rows. The test split is never opened. Raises BuildError."""
    folder = data_folder(recipe_path, recipe)
    labels = read_labels(folder, recipe.data)
    train_rows, validation = (read_split(folder, recipe.data, labels, split) for split in ("train", "validation"))
    return TrainingData(labels, train_rows, validation)


def read_checked_data(recipe_path: Path, recipe: Recipe) -> TrainingData:
    """Returns the same, having compared them with the test rows, which serve for nothing else. Raises BuildError."""
    data = read_training_data(recipe_path, recipe)
    check_test_rows(data_folder(recipe_path, recipe), recipe.data, data.labels, data.train, data.validation)
    return data


def data_files(recipe_path: Path, recipe: Recipe) -> dict[str, Path]:
    """Returns the files of labels, training and validation rows, by what each is for."""
    folder = data_folder(recipe_path, recipe)
    files = {"labels": folder / recipe.data.labels}
    for split in ("train", "validation"):
        for path, kind in zip(split_files(folder, recipe.data, split), ("", " out of scope"), strict=False):
            files[f"{split}{kind}"] = path
    return files


def rows_to_train(recipe: Recipe, data: TrainingData) -> tuple[Row, ...]:
    """Returns the rows of one epoch, those out of scope as often as the recipe says."""
    repeat = recipe.data.out_of_scope.repeat if recipe.data.out_of_scope else 0
    return (*data.train.in_scope, *data.train.out_of_scope * repeat)
