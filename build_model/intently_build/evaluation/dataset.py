"""The rows that bundles are asked about: one split of the data that their recipes name, the same for all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import ValidationError

from intently.v1 import bundle_pb2
from intently_build.calibration import Integers
from intently_build.errors import BuildError
from intently_build.recipe import Data
from intently_build.rows import Labels, SplitRows, read_labels, read_split

Split = Literal["test", "validation"]


@dataclass(frozen=True)
class Source:
    """Where the rows are.

    Attributes:
      split: which rows.
      recipe: file whose section `data` names them, or None for the recipe in a bundle's manifest.
      folder: of the files, or None for the recipe's own, which is relative to the folder that holds the recipe, or
        the bundle's folder.
    """

    split: Split
    recipe: Path | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The rows of a split, in scope first.

    Attributes:
      name: of the data set.
      split: which rows.
      labels: what the rows of a head mean.
      rows: the rows.
    """

    name: str
    split: Split
    labels: Labels
    rows: SplitRows

    @property
    def texts(self) -> list[str]:
        """The utterances."""
        return [row.text for row in (*self.rows.in_scope, *self.rows.out_of_scope)]

    @property
    def right(self) -> Integers:
        """The right intents of the in-scope rows."""
        return np.array([row.label for row in self.rows.in_scope], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the intents, in the order of the head's rows."""
        return tuple(label.name for label in self.labels.intents)

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the rows' files."""
        return tuple(digest for _, digest in self.rows.files)


def read_dataset(bundle: Path, manifest: bundle_pb2.BundleManifest, source: Source) -> Dataset:
    """Returns the rows that the bundle is to be asked about. Raises BuildError if they are not there or not its own."""
    data, beside = _data(bundle, manifest, source)
    folder = source.folder or beside / data.folder
    if not folder.is_dir():
        raise BuildError(f"{folder}: no such folder; say where the rows are with --data")
    labels = read_labels(folder, data)
    if [label.name for label in labels.intents] != [intent.name for intent in manifest.label_set.intents]:
        raise BuildError(
            f"{folder / data.labels}: not the intents of the bundle's label set, or in another order ({bundle})"
        )
    return Dataset(data.name, source.split, labels, read_split(folder, data, labels, source.split))


def check_same_rows(first: tuple[Path, Dataset], other: tuple[Path, Dataset]) -> None:
    """Raises BuildError unless both bundles are asked the same, and mean the same by their answers."""
    for what, same in (
        ("intents", first[1].names == other[1].names),
        ("rows", first[1].digests == other[1].digests),
    ):
        if not same:
            raise BuildError(f"{first[0]} and {other[0]} cannot stand side by side: their {what} differ; see --data")


def _data(bundle: Path, manifest: bundle_pb2.BundleManifest, source: Source) -> tuple[Data, Path]:
    """Returns the recipe's section `data`, and the folder that its folder is relative to.

    Of a recipe only that section is read: bundles come from recipes of several kinds.
    """
    if source.recipe is None:
        return _section(manifest.origin.recipe, f"{bundle}: the recipe in the manifest"), bundle.resolve().parent
    try:
        return _section(source.recipe.read_text(encoding="utf-8"), str(source.recipe)), source.recipe.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{source.recipe}: cannot read the recipe: {error}") from error


def _section(text: str, where: str) -> Data:
    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict) or "data" not in recipe:
        raise BuildError(f"{where}: has no section data, which names the rows; give one that has with --recipe")
    try:
        return Data.model_validate(recipe["data"])
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise BuildError(f"{where}: data.{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
