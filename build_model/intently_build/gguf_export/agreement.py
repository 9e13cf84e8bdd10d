"""The proof of an export: llama.cpp's answers beside the reference's, on the same rows.

The reference is transformers in float32: the causal model restricted to the code tokens, which is the classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intently_build.calibration import probabilities
from intently_build.errors import BuildError
from intently_build.gguf_export.answers import Answers
from intently_build.gguf_export.classification import Classification
from intently_build.gguf_export.matrices import CUT
from intently_build.quantizing.checkpoint import Checkpoint

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far llama.cpp agrees with the reference.

    Attributes:
      rows: how many.
      same_tokens: on how many it read the same tokens.
      same_answers: on how many its one token is the one that the reference's likeliest label has.
      right, right_before: how many it, and the reference, answer rightly.
      worst, mean: the difference of a probability.
    """

    rows: int
    same_tokens: int
    same_answers: int
    right: int
    right_before: int
    worst: float
    mean: float

    def to_json(self) -> dict[str, Any]:
        """Returns it as a proof states it."""
        return {
            "rows": self.rows,
            "same_tokens": self.same_tokens,
            "same_answers": self.same_answers,
            "right": self.right,
            "right_by_the_reference": self.right_before,
            "largest_probability_difference": float(f"{self.worst:.3g}"),
            "mean_probability_difference": float(f"{self.mean:.3g}"),
        }


def reference(source: Checkpoint, task: Classification, code_ids: Sequence[int]) -> tuple[list[list[int]], Floats]:
    """Returns the ids of each row's prompt, and the reference's logits (rows, labels)."""
    from intently_build.prompt import PromptEncoder
    from intently_build.reference import text_logits

    encoder = PromptEncoder(source.folder / "tokenizer.json", task.layout)
    texts = [row.text for row in task.rows]
    logits = text_logits(_classifier(source, task, code_ids), encoder, texts)
    return [encoder.encode(text) for text in texts], logits


def compare(
    ids: Sequence[Sequence[int]], wanted: Floats, got: Answers, code_ids: Sequence[int], labels: Sequence[int]
) -> Agreement:
    """Returns how far they agree.

    Args:
      ids: of each prompt, as the server reads them.
      wanted: the reference's logits (rows, labels).
      got: what llama.cpp answered.
      code_ids: the token of each label.
      labels: the right one of each row.

    Raises BuildError if a logit of either is not finite.
    """
    if not (np.isfinite(wanted).all() and np.isfinite(got.logits).all()):
        raise BuildError("some logits are not finite; the checkpoint is damaged")
    expected, right = np.array(code_ids)[wanted.argmax(axis=1)], np.array(code_ids)[np.array(labels)]
    greedy = np.array(got.greedy)
    shift = np.abs(probabilities(wanted, 1.0) - probabilities(got.logits, 1.0))
    return Agreement(
        rows=len(wanted),
        same_tokens=sum(tuple(mine) == tuple(its) for mine, its in zip(ids, got.ids, strict=True)),
        same_answers=int((greedy == expected).sum()),
        right=int((greedy == right).sum()),
        right_before=int((expected == right).sum()),
        worst=float(shift.max()),
        mean=float(shift.mean()),
    )


def _classifier(source: Checkpoint, task: Classification, code_ids: Sequence[int]) -> Any:
    import torch
    from transformers import Qwen2ForCausalLM, logging

    from intently_build.head import cut_head
    from intently_build.reference import load_classifier

    if CUT in source.tensors:
        return load_classifier(source.folder)
    logging.disable_progress_bar()
    causal = Qwen2ForCausalLM.from_pretrained(source.folder, dtype=torch.float32)
    return cut_head(causal, code_ids, task.labels)
