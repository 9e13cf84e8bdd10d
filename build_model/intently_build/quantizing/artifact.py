"""The artifact check: whether the files that a tool wrote are the format that was asked for, whole and finite.

It reads what lies on disk, not what the tool says. Whether a server can compute with it, only a request shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError
from intently_build.quantizing.checkpoint import TOKENIZER_FILES, Checkpoint, Tensor, read_checkpoint
from intently_build.quantizing.formats import Format, expected_bytes

SLACK = 1.1  # of the computed bytes: files have headers, and a tool may keep more beside a layer
SLACK_BYTES = 65_536

_PACKED = {
    "gptq-int4": (("weight_packed", "I32"), ("weight_scale", "BF16")),
    "autogptq-int4": (("qweight", "I32"), ("scales", None)),
    "int8": (("weight", "I8"), ("weight_scale", None)),
    "fp8": (("weight", "F8_E4M3"), ("weight_scale", None)),
    "awq": (("weight_packed", "I32"), ("weight_scale", "BF16"), ("weight_zero_point", "I32")),
    "bnb-int8": (("weight", "I8"), ("SCB", "F32")),
}


@dataclass(frozen=True)
class Artifact:
    """What was found: how many Linear layers are quantized, and the bytes of the weights before and after."""

    linears: int
    size: int
    size_before: int


def check_artifact(folder: Path, source: Checkpoint, form: Format, group_size: int) -> Artifact:
    """Returns what lies in `folder`, quantized from `source`. Raises BuildError naming what is wrong."""
    found = read_checkpoint(folder)
    _check_config(found, form, form.group(group_size))
    for name, shape in source.linears.items():
        _check_linear(found, name, shape, form, form.group(group_size))
    _check_head(found, source)
    _check_finite(found)
    _check_tokenizer(folder, source.folder)
    bound = SLACK * expected_bytes(form, group_size, source.linears.values(), source.values_beside_linears)
    if found.size > bound + SLACK_BYTES:
        raise BuildError(f"{folder}: {found.size:,} bytes of weights, at most {bound + SLACK_BYTES:,.0f} expected")
    return Artifact(len(source.linears), found.size, source.size)


def _check_config(found: Checkpoint, form: Format, group: int) -> None:
    said = found.config.get("quantization_config")
    if not isinstance(said, dict):
        raise BuildError(f"{found.folder}: config.json has no quantization_config")
    facts = _facts(said)
    wanted: dict[str, object] = {"quant_method": form.config_method, "bits": form.bits, "group_size": group}
    if form.config_method == "gptq":
        wanted |= {"desc_act": False, "sym": True}  # vLLM 0.32 serves no other
    for key, value in wanted.items():
        if facts.get(key) != value:
            raise BuildError(f"{found.folder}: quantization_config says {key} {facts.get(key)!r}, not {value!r}")


def _facts(said: Mapping[str, Any]) -> dict[str, object]:
    """Returns method, bits and group of a quantization_config, whichever tool wrote it."""
    if said.get("quant_method") == "bitsandbytes":
        return {"quant_method": "bitsandbytes", "bits": 8 if said.get("load_in_8bit") else 4, "group_size": 0}
    if said.get("quant_method") != "compressed-tensors":
        return dict(said)
    groups = list(said.get("config_groups", {}).values())
    weights = [group.get("weights") or {} for group in groups]
    if len(weights) != 1:
        return {"quant_method": "compressed-tensors", "bits": None}
    return {
        "quant_method": "compressed-tensors",
        "bits": weights[0].get("num_bits"),
        "group_size": weights[0].get("group_size") or 0,
    }


def _check_linear(found: Checkpoint, name: str, shape: tuple[int, int], form: Format, group: int) -> None:
    for part, dtype in _PACKED[form.name]:
        tensor = found.tensors.get(f"{name}.{part}")
        if tensor is None:
            raise BuildError(f"{found.folder}: {name} is not quantized: it has no {part}")
        if dtype and tensor.dtype != dtype:
            raise BuildError(f"{found.folder}: {name}.{part} is stored as {tensor.dtype}, not as {dtype}")
    _, scales = _PACKED[form.name][:2]
    outputs, inputs = shape
    wanted = outputs * (inputs // group if group else 1)
    tensor = found.tensors[f"{name}.{scales[0]}"]
    if tensor.values != wanted:
        raise BuildError(f"{found.folder}: {name} has {tensor.values} scales, {wanted} belong to {outputs} x {inputs}")


def _check_head(found: Checkpoint, source: Checkpoint) -> None:
    import torch

    if source.head is None:
        return
    tensor = found.tensors.get(source.head)
    if tensor is None or tensor.dtype != "BF16":
        stored = "missing" if tensor is None else f"stored as {tensor.dtype}"
        raise BuildError(f"{found.folder}: {source.head} is {stored}; the head must stay in bfloat16")
    before = _values(source.tensors[source.head], source.head).to(torch.bfloat16)
    if not torch.equal(before, _values(tensor, source.head)):
        raise BuildError(f"{found.folder}: {source.head} is not that of {source.folder}")


def _check_finite(found: Checkpoint) -> None:
    import torch

    for name, values in _floats(found):
        if not torch.isfinite(values.float()).all():
            raise BuildError(f"{found.folder}: {name} has values that are not finite")


def _floats(found: Checkpoint) -> Iterator[tuple[str, Any]]:
    for name, tensor in found.tensors.items():
        if tensor.dtype.startswith(("F", "BF")):
            yield name, _values(tensor, name)


def _values(tensor: Tensor, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(tensor.file, framework="pt") as file:
        return file.get_tensor(name)


def _check_tokenizer(folder: Path, source: Path) -> None:
    for name in TOKENIZER_FILES:
        if (source / name).exists() and (source / name).read_bytes() != (folder / name).read_bytes():
            raise BuildError(f"{folder / name}: not that of {source}")
    for path in folder.glob("*.json"):
        if path.name not in TOKENIZER_FILES and str(folder.parent) in path.read_text(encoding="utf-8"):
            raise BuildError(f"{path}: names a folder of this machine")
