"""A checkpoint of a shape with random weights, quantized as they are made: one tensor at a time, each on the GPU."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from rich.console import Console
from tokenizers import Tokenizer

from intently_build.bar import progress_bar
from intently_build.errors import BuildError
from intently_build.planning.shapes import Shape
from intently_build.quantizing.formats import DTYPE, FORMATS, expected_bytes
from intently_build.quantizing.preflight import GROUP_SIZES, SPARE
from intently_build.synth.rounding import quantization_config, round_weight
from intently_build.synth.shards import SHARD_BYTES, Shards
from intently_build.synth.tensors import Planned, planned_tensors

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
POSITIONS = 32_768
PLAIN = "bf16"
SEEDS = 1_000_003  # apart, so that no tensor of one checkpoint is one of the next

_PADDING = "<|endoftext|>"


@dataclass(frozen=True)
class RandomModel:
    """What to make.

    Attributes:
      shape: its sizes.
      labels: the label of each row of the head; none for a causal model, which has a language-model head.
      form: "bf16", or the name of a format that `round_weight` knows.
      group_size: weights that share a scale, where the format has groups.
      seed: of all values.
      device: where they are made.
      shard_bytes: of a file of weights, at most.
    """

    shape: Shape
    labels: Sequence[str]
    form: str
    group_size: int
    seed: int
    device: torch.device
    shard_bytes: int = SHARD_BYTES

    @property
    def tensors(self) -> list[Planned]:
        """Every tensor, in the order that they are written in."""
        head, rows = ("score", len(self.labels)) if self.labels else ("lm_head", self.shape.vocabulary)
        return list(planned_tensors(self.shape, head, rows))

    @property
    def bytes(self) -> int:
        """What its weights take, scales and zero points included."""
        linears = [(tensor.size[0], tensor.size[1]) for tensor in self.tensors if tensor.linear]
        others = sum(tensor.values for tensor in self.tensors if not tensor.linear)
        if self.form == PLAIN:
            return 2 * (others + sum(outputs * inputs for outputs, inputs in linears))
        return expected_bytes(FORMATS[self.form], self.group_size, linears, others)


def check_model(model: RandomModel, tokenizer: Path, folder: Path) -> None:
    """Raises BuildError before any work if the model cannot be made: groups, tokens or disk do not fit."""
    if model.form != PLAIN and FORMATS[model.form].grouped:
        _check_group(model)
    tokens = Tokenizer.from_file(str(tokenizer / TOKENIZER_FILES[0])).get_vocab_size()
    if tokens > model.shape.vocabulary:
        raise BuildError(
            f"{tokenizer}: its {tokens:,} tokens are more than the {model.shape.vocabulary:,} of {model.shape.name}"
        )
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    if free < SPARE * model.bytes:
        raise BuildError(
            f"{folder}: needs {SPARE * model.bytes / 1e6:,.0f} MB on that disk, {free / 1e6:,.0f} MB are free"
        )


def write_checkpoint(model: RandomModel, tokenizer: Path, folder: Path, console: Console) -> int:
    """Writes config, tokenizer and weights into `folder`, which is there. Returns the bytes of the weights."""
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    config = _config(model, Tokenizer.from_file(str(folder / TOKENIZER_FILES[0])))
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shards, planned = Shards(folder, model.shard_bytes), model.tensors
    with progress_bar(console) as progress, torch.inference_mode():
        for number, tensor in enumerate(progress.track(planned, description="making weights")):
            values = tensor.draw(model.seed * SEEDS + number, model.device)
            if not tensor.linear:
                shards.add(tensor.name, values)
                continue
            layer = tensor.name.removesuffix(".weight")
            for part, stored in round_weight(model.form, values, model.group_size).items():
                shards.add(f"{layer}.{part}", stored)
    shards.close()
    return shards.bytes


def _check_group(model: RandomModel) -> None:
    if model.group_size not in GROUP_SIZES:
        raise BuildError(f"--group-size {model.group_size}: must be one of {', '.join(map(str, GROUP_SIZES))}")
    for name, inputs, _ in model.shape.linears:
        if inputs % model.group_size:
            raise BuildError(f"--group-size {model.group_size}: does not divide the {inputs} inputs of {name}")


def _config(model: RandomModel, tokenizer: Tokenizer) -> dict[str, Any]:
    shape = model.shape
    padding = tokenizer.token_to_id(_PADDING)
    kind: Literal["SequenceClassification", "CausalLM"] = "SequenceClassification" if model.labels else "CausalLM"
    config = transformers.Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=False,
        pad_token_id=shape.vocabulary - 1 if padding is None else padding,
        bos_token_id=None,
        eos_token_id=padding,
    )
    said: dict[str, Any] = config.to_dict() | {"architectures": [f"Qwen2For{kind}"], "dtype": DTYPE}
    said.pop("transformers_version", None)
    if model.labels:
        said["id2label"] = {str(row): name for row, name in enumerate(model.labels)}
        said["label2id"] = {name: row for row, name in enumerate(model.labels)}
    quantization = quantization_config(model.form, model.group_size)
    return said | ({"quantization_config": quantization} if quantization else {})
