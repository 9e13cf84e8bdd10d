"""The rows that bundles are asked about, the same for all: a split of the data that a recipe names, or a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from intently.v1 import bundle_pb2
from intently_build.calibration import Integers
from intently_build.errors import BuildError
from intently_build.evaluation.costs import OUT_OF_SCOPE
from intently_build.recipe import Data, read_yaml
from intently_build.rows import SplitRows, file_sha256, read_labels, read_rows, read_split, split_files

Split = Literal["test", "validation", "train"]


@dataclass(frozen=True)
class Source:
    """Where the rows are.

    Attributes:
      split: which rows.
      recipe: file whose section `data` names them, or None for the recipe in a bundle's manifest.
      folder: of the files, or None for the recipe's own, which is relative to the folder that holds the recipe, or
        the bundle's folder.
      rows: file of rows to take in place of all that, with the intents of the bundle; or None.
    """

    split: Split = "test"
    recipe: Path | None = None
    folder: Path | None = None
    rows: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The rows of a split, in scope first.

    Attributes:
      name: of the data set, or the file's.
      split: which rows; "rows" of those of a file.
      names: of the intents, in the order of the head's rows.
      out_of_scope: the label set's name of what is out of scope, if it has one.
      rows: the rows.
    """

    name: str
    split: str
    names: tuple[str, ...]
    out_of_scope: str | None
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
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the rows' files."""
        return tuple(digest for _, digest in self.rows.files)


def read_dataset(bundle: Path, manifest: bundle_pb2.BundleManifest, source: Source) -> Dataset:
    """Returns the rows that the bundle is to be asked about. Raises BuildError if they are not there or not its own."""
    label_set = manifest.label_set
    names = tuple(intent.name for intent in label_set.intents)
    outside = label_set.out_of_scope.name if label_set.HasField("out_of_scope") else None
    if source.rows is not None:
        return Dataset(source.rows.stem, "rows", names, outside, _read_file(source.rows, names, outside))
    data, beside = _data(bundle, manifest, source)
    folder = source.folder or beside / data.folder
    if not folder.is_dir():
        raise BuildError(f"{folder}: no such folder; say where the rows are with --data")
    labels = read_labels(folder, data)
    if tuple(label.name for label in labels.intents) != names:
        raise BuildError(
            f"{folder / data.labels}: not the intents of the bundle's label set, or in another order ({bundle})"
        )
    return Dataset(data.name, source.split, names, outside, read_split(folder, data, labels, source.split))


def own_files(bundle: Path, manifest: bundle_pb2.BundleManifest, split: Split) -> list[Path]:
    """Returns the files of a split that the recipe in the manifest names; none unless all of them can be found."""
    try:
        data, beside = _data(bundle, manifest, Source(split))
        files = split_files(beside / data.folder, data, split)
    except BuildError:
        return []  # the recipe names none, or the manifest has none
    return files if all(file.is_file() for file in files) else []


def check_same_rows(first: tuple[Path, Dataset], other: tuple[Path, Dataset]) -> None:
    """Raises BuildError unless both bundles are asked the same, and mean the same by their answers."""
    for what, same in (
        ("intents", first[1].names == other[1].names),
        ("rows", first[1].digests == other[1].digests),
    ):
        if not same:
            raise BuildError(f"{first[0]} and {other[0]} cannot stand side by side: their {what} differ; see --data")


def _read_file(path: Path, names: Sequence[str], outside: str | None) -> SplitRows:
    """Returns the rows of one file, which may be in and out of scope in any order."""
    places = {name: len(names) for name in (OUT_OF_SCOPE, outside) if name}
    places |= {name: place for place, name in enumerate(names)}
    rows = read_rows(path, places)
    in_scope = tuple(row for row in rows if row.label < len(names))
    if not in_scope:
        raise BuildError(f"{path}: all rows are out of scope; accuracy is that of rows in scope")
    return SplitRows(
        in_scope=in_scope,
        out_of_scope=tuple(row for row in rows if row.label >= len(names)),
        files=((path.name, file_sha256(path)),),
    )


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
    recipe = read_yaml(text, where)
    if not isinstance(recipe, dict) or "data" not in recipe:
        raise BuildError(f"{where}: has no section data, which names the rows; give one that has with --recipe")
    try:
        return Data.model_validate(recipe["data"])
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise BuildError(f"{where}: data.{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
