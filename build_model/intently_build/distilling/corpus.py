"""The utterances that teachers are asked about: training rows, others without labels, and altered copies of both."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from intently_build.distilling.altering import altered_copies
from intently_build.errors import BuildError
from intently_build.overlap import HeldOut
from intently_build.recipe import DistillRecipe
from intently_build.rows import json_lines
from intently_build.training_data import TrainingData, data_folder, read_held_out, rows_to_train

TEXTS = "texts.jsonl"


@dataclass(frozen=True)
class Utterance:
    """A text, and the row of the head that is right for it, or None where nobody knows."""

    text: str
    label: int | None


@dataclass(frozen=True)
class Corpus:
    """What teachers are asked about.

    Attributes:
      utterances: rows first.
      left_out: how many others were left out since they are test rows, by what they are.
    """

    utterances: list[Utterance]
    left_out: dict[str, int]


def corpus(path: Path, recipe: DistillRecipe, data: TrainingData) -> Corpus:
    """Returns all that the recipe at `path` distils on. Raises BuildError naming the line that is not fit."""
    known = [Utterance(row.text, row.label) for row in rows_to_train(recipe, data)]
    seen = {utterance.text for utterance in known}
    held_out = read_held_out(path, recipe, data.labels)
    given = {file: _texts(file) for file in unlabelled_files(path, recipe).values()}
    unlabelled = [text for file, texts in given.items() for text in _unseen(texts, file, held_out)]
    others = [Utterance(text, None) for text in dict.fromkeys(unlabelled) if text not in seen]
    texts = list(dict.fromkeys(utterance.text for utterance in (*known, *others)))
    altered = altered_copies(texts, recipe.distill.alter, recipe.training.seed)
    copies = held_out.without(altered, str)
    left_out = {
        "unlabelled": sum(map(len, given.values())) - len(unlabelled),
        "altered copies": len(altered) - len(copies),
    }
    return Corpus([*known, *others, *(Utterance(text, None) for text in copies)], left_out)


def unlabelled_files(path: Path, recipe: DistillRecipe) -> dict[str, Path]:
    """Returns the files of utterances without labels, by what each is for."""
    folder = data_folder(path, recipe)
    return {f"unlabelled {name}": folder / name for name in recipe.distill.unlabelled}


def write_corpus(utterances: Iterable[Utterance], folder: Path) -> None:
    """Writes one JSON object a line into `folder`."""
    with (folder / TEXTS).open("w", encoding="utf-8") as file:
        for utterance in utterances:
            record = {"text": utterance.text, "label": utterance.label}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_corpus(folder: Path) -> list[Utterance]:
    """Returns what `write_corpus` wrote."""
    lines = json_lines((folder / TEXTS).read_text(encoding="utf-8"))
    return [Utterance(record["text"], record["label"]) for record in map(json.loads, lines)]


def _unseen(texts: list[str], path: Path, held_out: HeldOut) -> list[str]:
    """Returns those texts of a file that are no test rows. Raises BuildError if none is left."""
    kept = held_out.without(texts, str)
    if not kept:
        raise BuildError(f"{path}: all {len(texts)} unlabelled utterances are test rows; give others")
    return kept


def _texts(path: Path) -> list[str]:
    """Returns the `text` of each line of a JSON Lines file."""
    try:
        lines = json_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; distill.unlabelled names it") from error
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{path}: line {number}: not a JSON object with a text") from error
        if not isinstance(text, str) or not text.strip():
            raise BuildError(f"{path}: line {number}: 'text' must be a text that is not empty")
        texts.append(text)
    return texts
