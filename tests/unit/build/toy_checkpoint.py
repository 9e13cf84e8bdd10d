"""A toy checkpoint of two decoder layers, and the same as a tool would write it in each format."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from intently_build.quantizing.formats import FORMATS, Format

HIDDEN, INNER, LABELS = 64, 128, 3
GROUP = 32
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (32, HIDDEN),
    "self_attn.v_proj": (32, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
CONFIG: dict[str, Any] = {"architectures": ["Qwen2ForSequenceClassification"], "model_type": "qwen2"}
CONFIGS: dict[str, dict[str, Any]] = {
    "gptq-int4": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
    "autogptq-int4": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True},
    "int8": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}},
    "fp8": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}},
    "awq": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
    "bnb-int8": {"quant_method": "bitsandbytes", "load_in_8bit": True},
}
for name in ("gptq-int4", "awq"):
    CONFIGS[name]["config_groups"]["group_0"]["weights"]["group_size"] = GROUP


def write_toy(folder: Path, shapes: dict[str, tuple[int, int]] | None = None) -> Path:
    """Writes the checkpoint in bfloat16 and returns its folder."""
    tensors = _outside()
    for name, (outputs, inputs) in _layers(shapes or SHAPES).items():
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1)).bfloat16()
    return _write(folder, tensors, CONFIG)


def write_quantized(folder: Path, source: Path, form: str) -> Path:
    """Writes what a tool would make of it in this format, and returns its folder."""
    tensors = _outside()
    for name, (outputs, inputs) in _layers(SHAPES).items():
        for part, tensor in _parts(FORMATS[form], outputs, inputs).items():
            tensors[f"{name}.{part}"] = tensor
    _write(folder, tensors, CONFIG | {"quantization_config": CONFIGS[form]})
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    return folder


def _parts(form: Format, outputs: int, inputs: int) -> dict[str, torch.Tensor]:
    groups = inputs // GROUP
    if form.name == "autogptq-int4":
        return {
            "qweight": torch.zeros(inputs // 8, outputs, dtype=torch.int32),
            "qzeros": torch.zeros(groups, outputs // 8, dtype=torch.int32),
            "scales": torch.ones(groups, outputs, dtype=torch.float16),
            "g_idx": torch.zeros(inputs, dtype=torch.int32),
        }
    if form.bits == 4:
        packed = {
            "weight_packed": torch.zeros(outputs, inputs // 8, dtype=torch.int32),
            "weight_scale": torch.ones(outputs, groups, dtype=torch.bfloat16),
        }
        zeros = {"weight_zero_point": torch.zeros(outputs // 8, groups, dtype=torch.int32)}
        return packed | (zeros if form.name == "awq" else {})
    if form.name == "bnb-int8":
        return {"weight": torch.zeros(outputs, inputs, dtype=torch.int8), "SCB": torch.ones(outputs)}
    kind = torch.float8_e4m3fn if form.name == "fp8" else torch.int8
    return {
        "weight": torch.zeros(outputs, inputs).to(kind),
        "weight_scale": torch.ones(outputs, 1, dtype=torch.bfloat16),
    }


def _layers(shapes: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return {f"model.layers.{layer}.{name}": shape for layer in range(2) for name, shape in shapes.items()}


def _outside() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {
        "model.embed_tokens.weight": torch.randn(100, HIDDEN, generator=random).bfloat16(),
        "model.layers.0.input_layernorm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16),
        "score.weight": torch.randn(LABELS, HIDDEN, generator=random).bfloat16(),
    }


def _write(folder: Path, tensors: dict[str, torch.Tensor], config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    return folder
