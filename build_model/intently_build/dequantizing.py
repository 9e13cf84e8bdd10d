"""The weights that a quantized checkpoint stands for, spelled out in float32 from what its files hold.

Needs no tool and no kernel, so that calibration and golden vectors rest on the weights as they are stored, wherever a
bundle is packaged or verified. Activations are left alone: what int8 and fp8 round there is the engine's to answer for.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from intently_build.errors import BuildError

PACKED = 8  # weights of 4 bits in an int32
BITSANDBYTES_LEVELS = 127
MARKS = ("weight_scale", "scales", "SCB")  # of the scales: compressed-tensors', AutoGPTQ's, bitsandbytes'
PARTS = {
    *("weight", "weight_scale", "weight_packed", "weight_shape", "weight_zero_point", "weight_g_idx", "weight_format"),
    *("scales", "qweight", "qzeros", "g_idx", "SCB"),
}

Tensors = Mapping[str, torch.Tensor]


def is_quantized(folder: Path) -> bool:
    """Whether the checkpoint's config says that its weights are quantized. Raises BuildError without a config."""
    try:
        return "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{folder / 'config.json'}: cannot read it: {error}") from error


def dequantize(folder: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Returns every weight of the checkpoint in float32 on `device`, by the name that it has in an unquantized one.

    Raises BuildError for a layer that is stored in a way that is not known.
    """
    files = sorted(folder.glob("*.safetensors"))
    stored = {name: tensor for file in files for name, tensor in load_file(file, device).items()}
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name in stored:
        layer, _, part = name.rpartition(".")
        if part in MARKS:
            layers[layer] = {part: stored[f"{layer}.{part}"] for part in PARTS if f"{layer}.{part}" in stored}
    weights = {f"{layer}.weight": _weight(layer, parts) for layer, parts in layers.items()}
    taken = {f"{layer}.{part}" for layer, parts in layers.items() for part in parts}
    return weights | {name: tensor.float() for name, tensor in stored.items() if name not in taken}


def _weight(layer: str, parts: Tensors) -> torch.Tensor:
    """Returns the weight (outputs, inputs) of one layer."""
    if "qweight" in parts:
        return _autogptq(parts)
    if "weight_packed" in parts:
        return _packed(parts)
    if "weight" in parts and "SCB" in parts:
        return parts["weight"].float() * parts["SCB"].float()[:, None] / BITSANDBYTES_LEVELS
    if "weight" in parts and "weight_scale" in parts:
        return parts["weight"].float() * parts["weight_scale"].float()
    raise BuildError(f"{layer}: stored as {', '.join(sorted(parts))}, which is not known")


def _autogptq(parts: Tensors) -> torch.Tensor:
    """qweight is packed along the inputs, qzeros along the outputs and one too low; g_idx names each input's group."""
    values = _unpack(parts["qweight"].T)
    scales = parts["scales"].float()
    zeros = _unpack(parts["qzeros"]) + 1
    group = parts["g_idx"].long()
    return (values - zeros[group].T) * scales[group].T


def _packed(parts: Tensors) -> torch.Tensor:
    """weight_packed is packed along the inputs, zero points along the outputs; without these, zero is the middle."""
    scale = parts["weight_scale"].float()
    values = _unpack(parts["weight_packed"])
    inputs = int(parts["weight_shape"][1]) if "weight_shape" in parts else values.shape[1]
    zeros = torch.full_like(scale, PACKED)
    if "weight_zero_point" in parts:
        zeros = _unpack(parts["weight_zero_point"].T).T[: scale.shape[0]]
    each = inputs // scale.shape[1]
    return (values[:, :inputs] - zeros.repeat_interleave(each, 1)) * scale.repeat_interleave(each, 1)


def _unpack(packed: torch.Tensor) -> torch.Tensor:
    """Returns the 4-bit values (rows, 8 x columns) in int32s (rows, columns), from the lowest bits up."""
    shifts = torch.arange(0, 4 * PACKED, 4, device=packed.device)
    return ((packed.long().unsqueeze(-1) >> shifts) & 0xF).flatten(1).float()
