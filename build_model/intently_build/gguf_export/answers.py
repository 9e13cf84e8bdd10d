"""What llama.cpp gave, and the file that carries it out of its process."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """Answers to prompts.

    Attributes:
      ids: that it read of each prompt.
      greedy: the likeliest of all tokens after each: what it answers with.
      logits: (prompts, labels) of the labels' tokens.
      printed: the text of each label's token.
    """

    ids: tuple[tuple[int, ...], ...]
    greedy: tuple[int, ...]
    logits: NDArray[np.float64]
    printed: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes them for `read_answers`."""
        content = {"ids": self.ids, "greedy": self.greedy, "logits": self.logits.tolist(), "printed": self.printed}
        path.write_text(json.dumps(content), encoding="utf-8")


def read_answers(path: Path) -> Answers:
    """Returns the answers that `Answers.write` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    ids = tuple(tuple(prompt) for prompt in content["ids"])
    return Answers(ids, tuple(content["greedy"]), np.array(content["logits"]), tuple(content["printed"]))
