"""A checkpoint as its config and the headers of its files describe it, without loading a weight."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)
HEADS = ("score.weight", "lm_head.weight")

_IN_A_LAYER = re.compile(r"model\.layers\.\d+\..+\.weight")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: its safetensors type, such as "BF16", its shape, and the file it lies in."""

    dtype: str
    shape: tuple[int, ...]
    file: Path

    @property
    def values(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    """A folder in Hugging Face layout."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The decoder's Linear layers, by name: (outputs, inputs)."""
        return {
            name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
            for name, tensor in self.tensors.items()
            if _IN_A_LAYER.fullmatch(name) and len(tensor.shape) == 2
        }

    @property
    def head(self) -> str | None:
        """The tensor that the answers are read off: `score`, a language-model head, or None where that is tied."""
        return next((name for name in HEADS if name in self.tensors), None)

    @property
    def values_beside_linears(self) -> int:
        """How many values lie outside the decoder's Linear layers."""
        weights = {f"{name}.weight" for name in self.linears}
        return sum(tensor.values for name, tensor in self.tensors.items() if name not in weights)

    @property
    def size(self) -> int:
        """The bytes of the files that hold the weights."""
        return sum(path.stat().st_size for path in {tensor.file for tensor in self.tensors.values()})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Returns the checkpoint in `folder`. Raises BuildError if a file is missing, cut short or malformed."""
    config = _json_object(folder / "config.json")
    files = [folder / WEIGHTS]
    if (folder / INDEX).exists():
        shards = _json_object(folder / INDEX).get("weight_map")
        files = sorted({folder / str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    tensors = {name: tensor for path in files for name, tensor in _headers(path).items()}
    if not tensors:
        raise BuildError(f"{folder}: no weights in it")
    return Checkpoint(folder, config, tensors)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; is {path.parent} a checkpoint?") from error
    if not isinstance(content, dict):
        raise BuildError(f"{path}: must be a JSON object")
    return content


def _headers(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            return {name: Tensor(part.get_dtype(), tuple(part.get_shape()), path) for name, part in parts.items()}
    except (OSError, SafetensorError) as error:
        raise BuildError(f"{path}: cannot read the weights: {error}; is the file whole?") from error
