"""Training examples: rows as token ids, drawn with noise and context, and put together into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from intently_build.prompt import PromptEncoder, Speaker
from intently_build.recipe import Noise
from intently_build.rows import Row

NO_TARGET = -100  # what PyTorch's cross-entropy skips


@dataclass(frozen=True)
class Example:
    """One row's prompt after the prefix.

    Attributes:
      tail: ids of turns, utterance and suffix; the last one is where the label is read.
      targets: as long as `tail`; at each place the utterance's token that comes next, or NO_TARGET.
      label: row of the head.
    """

    tail: list[int]
    targets: list[int]
    label: int


class ExampleSet:
    """A data set for transformers' Trainer: `rows` as examples, noisy and with random context if `noise` is given.

    Draws come from PyTorch's default generator, which the Trainer seeds, and restores when it resumes.
    """

    def __init__(self, rows: Sequence[Row], encoder: PromptEncoder, noise: Noise | None, ordinary_tokens: int) -> None:
        self._encoder = encoder
        self._noise = noise
        self._ordinary_tokens = ordinary_tokens
        self._labels = [row.label for row in rows]
        texts = [row.text for row in rows]
        self._plain = encoder.text_ids(texts)
        self._styled = [] if noise is None else [encoder.text_ids(style) for style in _styles(texts, noise)]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Example:
        if self._noise is None:
            clean = self._plain[index]
            return self._example(clean, clean, [], self._labels[index])
        style = self._plain
        if _chance(self._noise.surface):
            style = self._styled[_draw(len(self._styled))]
        context = self._random_context() if _chance(self._noise.context) else []
        clean, noisy = self._perturb(style[index], self._noise)
        return self._example(clean, noisy, context, self._labels[index])

    def _example(
        self, clean: list[int], noisy: list[int], context: list[tuple[Speaker, list[int]]], label: int
    ) -> Example:
        tail = self._encoder.tail(noisy, context)
        start = self._encoder.utterance_start(tail, noisy)
        targets = [NO_TARGET] * len(tail)
        targets[start - 1 : start - 1 + len(clean)] = clean
        return Example(tail, targets, label)

    def _perturb(self, ids: list[int], noise: Noise) -> tuple[list[int], list[int]]:
        """Returns the tokens that are kept (at least one), as they were and as the model sees them."""
        draws = torch.rand(2, len(ids)).tolist()
        clean = [token for token, draw in zip(ids, draws[0], strict=True) if draw >= noise.drop_tokens] or ids[:1]
        noisy = [
            _draw(self._ordinary_tokens) if draw < noise.replace_tokens else token
            for token, draw in zip(clean, draws[1], strict=False)
        ]
        return clean, noisy

    def _random_context(self) -> list[tuple[Speaker, list[int]]]:
        speakers = ([Speaker.USER], [Speaker.ASSISTANT], [Speaker.USER, Speaker.ASSISTANT])[_draw(3)]
        return [(speaker, self._plain[_draw(len(self._plain))]) for speaker in speakers]


@dataclass(frozen=True)
class Collator:
    """Puts examples together. Prompts are filled up at the end, which a causal decoder needs no mask for."""

    pad_token_id: int

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Returns `tail` and `targets` (batch, tokens), `last` (batch): the suffix's end, and `labels` (batch)."""
        width = max(len(example.tail) for example in examples)
        width += -width % 8

        def padded(ids: list[int], filling: int) -> list[int]:
            return ids + [filling] * (width - len(ids))

        return {
            "tail": torch.tensor([padded(example.tail, self.pad_token_id) for example in examples]),
            "targets": torch.tensor([padded(example.targets, NO_TARGET) for example in examples]),
            "last": torch.tensor([len(example.tail) - 1 for example in examples]),
            "labels": torch.tensor([example.label for example in examples]),
        }


def _styles(texts: list[str], noise: Noise) -> list[list[str]]:
    """Returns other ways to write the texts: a capital letter, and a closing mark with and without it."""
    capital = [text[:1].upper() + text[1:] for text in texts]
    closed = [[text + mark for text in texts] for mark in noise.closing_marks]
    both = [[text + mark for text in capital] for mark in noise.closing_marks]
    return [capital, *closed, *both]


def _chance(share: float) -> bool:
    return share > 0 and torch.rand(()).item() < share


def _draw(stop: int) -> int:
    return int(torch.randint(stop, ()).item())
