"""Rows and labels as they lie on disk: JSON Lines with an utterance and its intent, and a JSON list of labels."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from intently_build.errors import BuildError
from intently_build.recipe import Data

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Row:
    """An utterance and the row of the head that is right for it."""

    text: str
    label: int


@dataclass(frozen=True)
class Label:
    """What a row of the head means."""

    name: str
    description: str
    domain: str


@dataclass(frozen=True)
class Labels:
    """The rows of the head: the intents in order, and the out-of-scope label last if there is one."""

    intents: tuple[Label, ...]
    out_of_scope: Label | None

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each row of the head."""
        rows = self.intents if self.out_of_scope is None else (*self.intents, self.out_of_scope)
        return tuple(label.name for label in rows)


@dataclass(frozen=True)
class SplitRows:
    """The rows of one split, and the files they came from, by name with their SHA-256."""

    in_scope: tuple[Row, ...]
    out_of_scope: tuple[Row, ...]
    files: tuple[tuple[str, str], ...]


def read_labels(folder: Path, data: Data) -> Labels:
    """Returns the labels in the order of the label file, out of scope last. Raises BuildError."""
    path = folder / data.labels
    fields = ("intent", data.description_field, *((data.domain_field,) if data.domain_field else ()))
    entries = [_entry(record, fields, f"{path}: entry {n}") for n, record in enumerate(_json(path))]
    labels = [Label(name, description, *(domain or ("",))) for name, description, *domain in entries]
    if len({label.name for label in labels}) < len(labels):
        raise BuildError(f"{path}: an intent is named twice")
    outside = data.out_of_scope.intent if data.out_of_scope else None
    intents = tuple(label for label in labels if label.name != outside)
    out_of_scope = next((label for label in labels if label.name == outside), None)
    if outside and out_of_scope is None:
        raise BuildError(f"{path}: no entry for data.out_of_scope.intent {outside!r}")
    if len(intents) < 2:
        raise BuildError(f"{path}: {len(intents)} intents; at least 2 are needed")
    return Labels(intents, out_of_scope)


def read_label_words(path: Path, field: str) -> dict[str, str]:
    """Returns the words for each intent of a label file, by name: `field` of its entry. Raises BuildError."""
    entries = [_entry(record, ("intent", field), f"{path}: entry {n}") for n, record in enumerate(_json(path))]
    return {entry[0]: entry[1] for entry in entries}


def read_split(folder: Path, data: Data, labels: Labels, split: Split) -> SplitRows:
    """Returns the rows of `split`, those out of scope apart. Raises BuildError naming file and line."""
    names = {name: row for row, name in enumerate(labels.names)}
    paths = split_files(folder, data, split)
    rows = [row for path in paths for row in read_rows(path, names)]
    intents = len(labels.intents)
    return SplitRows(
        in_scope=tuple(row for row in rows if row.label < intents),
        out_of_scope=tuple(row for row in rows if row.label >= intents),
        files=tuple((path.name, file_sha256(path)) for path in paths),
    )


def split_files(folder: Path, data: Data, split: Split) -> list[Path]:
    """Returns the files of `split`, that of the out-of-scope rows last. Raises BuildError if the recipe names none."""
    names = [getattr(part, split) for part in (data, data.out_of_scope) if part]
    if None in names:
        raise BuildError(f"data: the recipe names no {split} rows; add {split} to data, and to data.out_of_scope")
    return [folder / name for name in names]


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes: 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_rows(path: Path, names: Mapping[str, int]) -> list[Row]:
    """Returns the rows of one file, whose intents are among `names`. Raises BuildError naming file and line."""
    rows = []
    for number, line in enumerate(json_lines(_text(path)), start=1):
        where = f"{path}: line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise BuildError(f"{where}: not JSON: {error}") from error
        text, intent = _entry(record, ("text", "intent"), where)
        if intent not in names:
            raise BuildError(f"{where}: intent {intent!r} is not in the label set")
        rows.append(Row(text, names[intent]))
    if not rows:
        raise BuildError(f"{path}: no rows")
    return rows


def json_lines(text: str) -> list[str]:
    """Returns the lines of JSON Lines: a line feed alone ends one, since JSON may hold the other marks of Unicode."""
    return text.removesuffix("\n").split("\n") if text else []


def _entry(record: object, fields: tuple[str, ...], where: str) -> list[str]:
    values = [record.get(field) if isinstance(record, dict) else None for field in fields]
    for field, value in zip(fields, values, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise BuildError(f"{where}: {field!r} must be a text that is not empty")
    return [str(value) for value in values]


def _json(path: Path) -> list[object]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BuildError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, list):
        raise BuildError(f"{path}: must be a JSON list of labels")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; recipes name data relative to themselves") from error
