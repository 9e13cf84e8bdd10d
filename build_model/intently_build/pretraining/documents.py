"""What a base reads: an utterance, and after it the words for what its user wants."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.examples import NO_TARGET, Example
from intently_build.overlap import HeldOut
from intently_build.prompt import PromptEncoder, PromptLayout
from intently_build.quantizing.calibration_rows import read_texts
from intently_build.recipe import Pretrain, Source
from intently_build.rows import read_label_words, read_rows


@dataclass(frozen=True)
class Document:
    """An utterance and the words for its intent."""

    text: str
    words: str


class DocumentSet:
    """A data set for transformers' Trainer: at each place of a document the target is the token that comes next."""

    def __init__(self, documents: Sequence[Document], tokenizer: Path, layout: Pretrain) -> None:
        encoder = PromptEncoder(tokenizer, document_layout(layout))
        texts = encoder.text_ids(document.text for document in documents)
        words = encoder.text_ids(document.words for document in documents)
        close = encoder.prefix_ids
        self._ids = [encoder.tail(text) + said + close for text, said in zip(texts, words, strict=True)]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Example:
        ids = self._ids[index]
        return Example(ids, [*ids[1:], NO_TARGET], 0)


def document_layout(layout: Pretrain) -> PromptLayout:
    """Returns the pieces of a document: what closes it stands in the place of the prefix."""
    return PromptLayout(layout.close, layout.utterance_open, layout.suffix, "", "", "", "")


def read_documents(recipe: Path, sources: Iterable[Source], split: str) -> list[Document]:
    """Returns the documents of one split of all sources, once each. Raises BuildError naming file and line."""
    found: dict[Document, None] = {}
    for source, path in source_files(recipe, sources, split):
        words = read_label_words(recipe.parent / source.folder / source.labels, source.description_field)
        rows = read_rows(path, {name: place for place, name in enumerate(words)})
        said = list(words.values())
        found |= dict.fromkeys(Document(row.text, said[row.label]) for row in rows)
    return list(found)


def read_held_out(recipe: Path, tests: Iterable[str]) -> HeldOut:
    """Returns the test rows in the files that `pretrain.test` names. Raises BuildError naming file and line."""
    return HeldOut(text for path in test_files(recipe, tests) for text in read_texts(path))


def test_files(recipe: Path, tests: Iterable[str]) -> list[Path]:
    """Returns the files that `pretrain.test` names. Raises BuildError if one is missing."""
    paths = [recipe.parent / name for name in tests]
    for path in paths:
        if not path.is_file():
            raise BuildError(f"{path}: no such file; pretrain.test names it")
    return paths


def source_files(recipe: Path, sources: Iterable[Source], split: str) -> list[tuple[Source, Path]]:
    """Returns the row files of one split, each with its source. Raises BuildError if one is missing."""
    files = [(source, recipe.parent / source.folder / name) for source in sources for name in getattr(source, split)]
    for _, path in files:
        if not path.is_file():
            raise BuildError(f"{path}: no such file; pretrain.sources names it")
    return files


def base_files(recipe: Path, layout: Pretrain) -> dict[str, Path]:
    """Returns every file that a base depends on, by what it is for."""
    sources = layout.sources
    files = {f"labels {source.folder}": recipe.parent / source.folder / source.labels for source in sources}
    for split in ("train", "validation"):
        for source, path in source_files(recipe, sources, split):
            files[f"{split} {json.dumps([source.folder, path.name])}"] = path
    return files | {
        f"test {name}": path for name, path in zip(layout.test, test_files(recipe, layout.test), strict=True)
    }
