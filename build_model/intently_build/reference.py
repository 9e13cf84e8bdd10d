"""Answers of a checkpoint computed by transformers in float32: what calibration and golden vectors rest on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen2Config, Qwen2ForSequenceClassification, logging
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from intently_build.dequantizing import dequantize, is_quantized
from intently_build.objective import last_states, tail_states
from intently_build.prompt import PromptEncoder

BATCH = 64
LARGE = 1_000_000_000  # bytes of weights


def load_classifier(folder: Path, device: str = "cpu") -> Qwen2ForSequenceClassification:
    """Returns the bundle's checkpoint in float32, on `device`, ready to answer; quantized weights are spelled out."""
    logging.disable_progress_bar()
    if is_quantized(folder):
        return _spelled_out(folder, device).eval()
    return Qwen2ForSequenceClassification.from_pretrained(folder, dtype=torch.float32).to(device).eval()


def device_for(folder: Path) -> str:
    """Returns where to compute many answers of the checkpoint in `folder`, for `load_classifier`.

    A GPU, if there is one, for a large checkpoint, which on a CPU would take days. All else goes to the CPU, where
    machines give the same bytes.
    """
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return "cuda" if size >= LARGE and torch.cuda.is_available() else "cpu"


def prompt_logits(classifier: Qwen2ForSequenceClassification, prompt: Sequence[int]) -> NDArray[np.float64]:
    """Returns the logits (labels) of one whole prompt, by transformers' own forward pass."""
    with torch.inference_mode():
        logits = classifier(input_ids=torch.tensor([list(prompt)], device=classifier.device)).logits[0]
    return np.asarray(logits.double().cpu().numpy(), dtype=np.float64)


def text_logits(
    classifier: Qwen2ForSequenceClassification,
    encoder: PromptEncoder,
    texts: Sequence[str],
    advance: Callable[[], None] | None = None,
) -> NDArray[np.float64]:
    """Returns the logits (texts, labels) of many utterances without context; the prefix is computed once a batch.

    `advance` is called once for each utterance, when it has been answered.
    """
    tails = [encoder.tail(ids) for ids in encoder.text_ids(texts)]
    order = sorted(range(len(tails)), key=lambda index: len(tails[index]))
    device = classifier.device
    prefix = torch.tensor(encoder.prefix_ids, device=device)
    answers = np.zeros((len(tails), classifier.config.num_labels))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            width = len(tails[chosen[-1]])
            last = torch.tensor([len(tails[index]) - 1 for index in chosen], device=device)
            rows = [tails[index] + [0] * (width - len(tails[index])) for index in chosen]
            batch = torch.tensor(rows, device=device)
            states = tail_states(classifier.model, prefix, batch)
            answers[chosen] = classifier.score(last_states(states, last)).double().cpu().numpy()
            if advance:
                for _ in chosen:
                    advance()
    return answers


def _spelled_out(folder: Path, device: str) -> Qwen2ForSequenceClassification:
    config = Qwen2Config.from_pretrained(folder)
    del config.quantization_config
    with torch.device("meta"):  # neither memory nor time for weights that are replaced at once
        classifier = Qwen2ForSequenceClassification(config).float()
    classifier.model.rotary_emb = Qwen2RotaryEmbedding(config).to(device)  # has no weights to load
    classifier.load_state_dict(dequantize(folder, device), assign=True)
    return classifier
