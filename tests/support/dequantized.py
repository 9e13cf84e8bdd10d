"""A quantized checkpoint's answers, by code that shares nothing with the tools: the weights are spelled out again."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForSequenceClassification

PER_INT32 = 8  # weights of 4 bits
PARTS = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_format", "SCB")
PARTS_OF_GPTQ = ("qweight", "qzeros", "scales", "g_idx")


def load_dequantized(folder: Path) -> Qwen2ForSequenceClassification:
    """Returns the classifier in float32 with the weights that the quantized ones stand for."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config")
    stored = load_file(folder / "model.safetensors")
    layers = {name.rpartition(".")[0] for name in stored if name.endswith(("scale", "scales", "SCB"))}
    weights = {f"{layer}.weight": _weight({part: stored.get(f"{layer}.{part}") for part in _ALL}) for layer in layers}
    for name, tensor in stored.items():
        if name.rpartition(".")[2] not in _ALL or name.removesuffix(".weight") not in layers:
            weights.setdefault(name, tensor.float())
    for layer in layers:
        for part in (*PARTS, *PARTS_OF_GPTQ):
            weights.pop(f"{layer}.{part}", None)
    model = Qwen2ForSequenceClassification(Qwen2Config(**config)).float()
    model.load_state_dict(weights)
    return model.eval()


_ALL = (*PARTS, *PARTS_OF_GPTQ, "weight")


def _weight(parts: dict[str, Any]) -> torch.Tensor:
    """Returns the weight (outputs, inputs) of one layer, in whichever format its parts are."""
    if parts["qweight"] is not None:
        values = _nibbles(parts["qweight"].T)
        zeros = _nibbles(parts["qzeros"])[:, : values.shape[0]] + 1  # AutoGPTQ stores them less one
        groups = parts["g_idx"].long()
        return (values - zeros[groups].T) * parts["scales"].float()[groups].T
    if parts["SCB"] is not None:
        return parts["weight"].float() * parts["SCB"][:, None] / 127
    scale = parts["weight_scale"].float()
    if parts["weight_packed"] is None:
        return parts["weight"].float() * scale
    values = _nibbles(parts["weight_packed"])
    group = values.shape[1] // scale.shape[1]
    packed = parts["weight_zero_point"]
    zeros = torch.full_like(scale, 8) if packed is None else _nibbles(packed.T).T
    return (values - zeros.repeat_interleave(group, 1)) * scale.repeat_interleave(group, 1)


def _nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Returns the unsigned 4-bit values (rows, columns * 8) of int32s (rows, columns), lowest bits first."""
    shifts = torch.arange(PER_INT32) * 4
    return ((packed.long()[..., None] >> shifts) & 15).flatten(1).float()
