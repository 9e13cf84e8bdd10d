"""Prompts on which two models are compared."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intently_build.prompt import PromptEncoder, PromptLayout

DRAWN = 16  # prompts where there are no texts
DRAWN_TOKENS = 48


@dataclass(frozen=True)
class Probes:
    """Texts in their prompt; without any, tokens drawn at random, the same each time."""

    layout: PromptLayout | None = None
    texts: tuple[str, ...] = ()

    def ids(self, tokenizer: Path, tokens: int) -> list[list[int]]:
        """Returns the ids of each prompt, by that tokenizer.json; `tokens` is how many ids there are."""
        if self.layout is None or not self.texts:
            drawn = np.random.default_rng(0).integers(tokens, size=(DRAWN, DRAWN_TOKENS))
            return [[int(token) for token in row] for row in drawn]
        encoder = PromptEncoder(tokenizer, self.layout)
        return [encoder.encode(text) for text in self.texts]


def spread(texts: tuple[str, ...], wanted: int) -> tuple[str, ...]:
    """Returns at most that many of the texts, evenly from all of them."""
    return texts[:: max(1, -(-len(texts) // wanted))]
