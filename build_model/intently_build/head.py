"""Cuts the classification head out of a causal model: the rows of its language-model head for the code tokens."""

from collections.abc import Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

from intently_build.errors import BuildError

TOLERANCE = 1e-6  # of a probability, in float32


def cut_head(causal: Qwen2ForCausalLM, code_ids: Sequence[int], names: Sequence[str]) -> Qwen2ForSequenceClassification:
    """Returns a classifier whose logits are the causal model's logits of the code tokens; the decoder is the same one.

    Args:
      causal: the causal model.
      code_ids: the code token of each row of the head.
      names: the label of each row of the head.
    """
    settings = causal.config.to_dict() | {
        "id2label": dict(enumerate(names)),
        "label2id": {name: row for row, name in enumerate(names)},
        "tie_word_embeddings": False,
    }
    for key in ("architectures", "transformers_version"):
        settings.pop(key, None)
    with torch.device("meta"):  # neither memory nor time for weights that are replaced at once
        classifier = Qwen2ForSequenceClassification(Qwen2Config(**settings)).to(causal.dtype)
    classifier.model = causal.model
    classifier.score.weight = torch.nn.Parameter(causal.lm_head.weight.detach()[list(code_ids)].clone())
    return classifier.eval()


def prove_head(
    causal: Qwen2ForCausalLM,
    classifier: Qwen2ForSequenceClassification,
    code_ids: Sequence[int],
    prompts: Sequence[Sequence[int]],
) -> float:
    """Returns the largest difference of a probability between the classifier and the causal model's masked softmax.

    Both must be in float32. Raises BuildError if it is over TOLERANCE.
    """
    worst = 0.0
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([list(prompt)], device=causal.device)
            masked = causal(input_ids=ids).logits[0, -1, list(code_ids)].softmax(-1)
            cut = classifier(input_ids=ids).logits[0].softmax(-1)
            worst = max(worst, (masked - cut).abs().max().item())
    if not worst <= TOLERANCE:
        raise BuildError(f"the cut head differs from the causal model by {worst:.1e} in a probability")
    return worst
