"""Random weights in the quantized formats, rounded to the nearest: the layout that a tool writes, without a tool.

Rounding loses more accuracy than GPTQ or AWQ, and random weights have none to lose; what a server loads, and the
kernels that it computes with, are the same. The layout is compressed-tensors', as llmcompressor writes it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch

Parts: TypeAlias = dict[str, torch.Tensor]

PACKED = 8  # weights of 4 bits in an int32
_HIGHEST_INT8 = 127
_HIGHEST_FP8 = 448.0  # of float8_e4m3fn
_HIGHEST_INT4, _MIDDLE_INT4 = 15, 8


def round_weight(form: str, weight: torch.Tensor, group_size: int) -> Parts:
    """Returns what a format stores for a Linear layer's weight (outputs, inputs), by the end of its name."""
    if form == "bf16":
        return {"weight": weight}
    return _ROUNDED[form](weight.float(), group_size)


def quantization_config(form: str, group_size: int) -> dict[str, Any] | None:
    """Returns what config.json says of the format; None for bfloat16."""
    if form == "bf16":
        return None
    four = form in ("gptq-int4", "awq")
    kind = "float" if form == "fp8" else "int"
    weights = _scheme(4 if four else 8, kind, "group" if four else "channel", symmetric=form != "awq")
    weights["group_size"] = group_size if four else None
    inputs = None if four else _scheme(8, kind, "token") | {"dynamic": True, "observer": None}
    written = "pack-quantized" if four else f"{kind}-quantized"
    return {
        "quant_method": "compressed-tensors",
        "format": written,
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": ["score"],
        "config_groups": {
            "group_0": {
                "format": written,
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": inputs,
                "output_activations": None,
            }
        },
    }


def _scheme(bits: int, kind: str, strategy: str, symmetric: bool = True) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": kind,
        "strategy": strategy,
        "symmetric": symmetric,
        "dynamic": False,
        "actorder": None,
        "block_structure": None,
        "group_size": None,
        "observer": "memoryless_minmax",
        "observer_kwargs": {},
        "scale_dtype": None,
        "zp_dtype": None if symmetric else "torch.int8",
    }


def _int8(weight: torch.Tensor, _group_size: int) -> Parts:
    scale = (weight.abs().amax(1, keepdim=True) / _HIGHEST_INT8).bfloat16()
    rounded = (weight / scale.float()).round_().clamp_(-_HIGHEST_INT8 - 1, _HIGHEST_INT8)
    return {"weight": rounded.to(torch.int8), "weight_scale": scale}


def _fp8(weight: torch.Tensor, _group_size: int) -> Parts:
    scale = (weight.abs().amax(1, keepdim=True) / _HIGHEST_FP8).bfloat16()
    rounded = (weight / scale.float()).clamp_(-_HIGHEST_FP8, _HIGHEST_FP8)
    return {"weight": rounded.to(torch.float8_e4m3fn), "weight_scale": scale}


def _symmetric_int4(weight: torch.Tensor, group_size: int) -> Parts:
    groups = weight.unflatten(1, (-1, group_size))
    scale = (groups.abs().amax(2) * 2 / _HIGHEST_INT4).bfloat16()
    rounded = (groups / scale.float().unsqueeze(2)).round_().add_(_MIDDLE_INT4)
    return _packed_layer(weight, rounded, scale)


def _asymmetric_int4(weight: torch.Tensor, group_size: int) -> Parts:
    groups = weight.unflatten(1, (-1, group_size))
    least, most = groups.amin(2).clamp_(max=0), groups.amax(2).clamp_(min=0)
    scale = ((most - least) / _HIGHEST_INT4).bfloat16()
    zeros = (-least / scale.float()).round_().clamp_(0, _HIGHEST_INT4)
    rounded = (groups / scale.float().unsqueeze(2)).round_().add_(zeros.unsqueeze(2))
    return _packed_layer(weight, rounded, scale) | {"weight_zero_point": _pack(zeros.T).T}


def _packed_layer(weight: torch.Tensor, rounded: torch.Tensor, scale: torch.Tensor) -> Parts:
    values = rounded.clamp_(0, _HIGHEST_INT4).flatten(1)
    return {"weight_packed": _pack(values), "weight_scale": scale, "weight_shape": torch.tensor([*weight.shape])}


def _pack(values: torch.Tensor) -> torch.Tensor:
    """Returns int32s (rows, columns / 8) of 4-bit values (rows, columns), the first in the lowest bits."""
    short = -values.shape[1] % PACKED
    if short:
        values = torch.nn.functional.pad(values, (0, short))
    nibbles = values.to(torch.int32).unflatten(1, (-1, PACKED))
    packed = nibbles[:, :, 0].clone()
    for place in range(1, PACKED):
        packed |= nibbles[:, :, place] << (4 * place)
    return packed


_ROUNDED: Mapping[str, Callable[[torch.Tensor, int], Parts]] = MappingProxyType(
    {"int8": _int8, "fp8": _fp8, "gptq-int4": _symmetric_int4, "awq": _asymmetric_int4}
)
