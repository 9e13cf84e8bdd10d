"""How a checkpoint's weights are stored, by its config.json, whichever tool wrote it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StoredFormat:
    """A format that was recognised.

    Attributes:
      name: as in `FORMATS`; None if it is none of these.
      group_size: weights to a scale; None in formats without groups.
    """

    name: str | None
    group_size: int | None = None


def stored_format(config: dict[str, Any]) -> StoredFormat:
    """Returns the format that a config.json states; without a quantization_config that is bf16."""
    said = config.get("quantization_config")
    if said is None:
        return StoredFormat("bf16")
    if not isinstance(said, dict):
        return StoredFormat(None)
    if said.get("quant_method") == "bitsandbytes":
        return StoredFormat("bnb-int8" if said.get("load_in_8bit") else None)
    if said.get("quant_method") == "gptq":
        return StoredFormat("autogptq-int4" if said.get("bits") == 4 else None, _group(said))
    if said.get("quant_method") != "compressed-tensors":
        return StoredFormat(None)
    groups = list(said.get("config_groups", {}).values())
    return _compressed(groups[0]) if len(groups) == 1 else StoredFormat(None)


def _compressed(group: dict[str, Any]) -> StoredFormat:
    """One group of compressed-tensors: how weights are stored, and whether inputs are quantized too."""
    weights, inputs = group.get("weights") or {}, group.get("input_activations")
    if weights.get("num_bits") == 4 and weights.get("type") == "int" and not inputs:
        return StoredFormat("gptq-int4" if weights.get("symmetric") else "awq", _group(weights))
    if weights.get("num_bits") == 8 and weights.get("strategy") == "channel" and inputs:
        return StoredFormat({"float": "fp8", "int": "int8"}.get(str(weights.get("type"))))
    return StoredFormat(None)


def _group(said: dict[str, Any]) -> int | None:
    size = said.get("group_size")
    return size if isinstance(size, int) and size > 0 else None
