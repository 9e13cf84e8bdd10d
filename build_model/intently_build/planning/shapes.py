"""Shapes of Qwen2 decoders: those that are published, and those of a checkpoint's config.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2 decoder, by the names of its config.json in brief.

    Attributes:
      name: what to call it.
      hidden: width of the residual stream.
      intermediate: width of the MLP.
      layers: number of blocks.
      heads, kv_heads: query heads, and the heads of keys and values that they share (grouped-query attention).
      head_size: width of a head.
      vocabulary: rows of the embedding.
      tied: whether there is no language-model head beside the embedding: it is the embedding, or cut away.
    """

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool

    @property
    def linears(self) -> tuple[tuple[str, int, int], ...]:
        """The Linear layers of one block: name, inputs, outputs. These are what quantizing changes."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return (
            ("q_proj", self.hidden, queries),
            ("k_proj", self.hidden, keys),
            ("v_proj", self.hidden, keys),
            ("o_proj", queries, self.hidden),
            ("gate_proj", self.hidden, self.intermediate),
            ("up_proj", self.hidden, self.intermediate),
            ("down_proj", self.intermediate, self.hidden),
        )

    @property
    def linear_weights(self) -> int:
        """Weights of all Linear layers of the decoder."""
        return self.layers * sum(inputs * outputs for _, inputs, outputs in self.linears)

    @property
    def linear_outputs(self) -> int:
        """Outputs of all Linear layers of the decoder."""
        return self.layers * sum(outputs for _, _, outputs in self.linears)

    @property
    def linear_inputs(self) -> int:
        """Inputs of all Linear layers of the decoder."""
        return self.layers * sum(inputs for _, inputs, _ in self.linears)

    @property
    def small_parameters(self) -> int:
        """Norms, and the biases of queries, keys and values: what no format quantizes."""
        biases = (self.heads + 2 * self.kv_heads) * self.head_size
        return self.layers * (2 * self.hidden + biases) + self.hidden

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and as many of an untied language-model head."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Parameters of the causal model, tied ones counted once; of a classifier those of its decoder."""
        return self.linear_weights + self.small_parameters + self.embedding * (1 if self.tied else 2)


def _qwen(size: str, hidden: int, intermediate: int, layers: int, heads: int, kv: int, vocabulary: int) -> Shape:
    tied = hidden <= 2048
    return Shape(f"qwen2.5-{size}", hidden, intermediate, layers, heads, kv, hidden // heads, vocabulary, tied)


# The config.json of each base model of the Qwen2.5 series.
PUBLISHED = {
    shape.name: shape
    for shape in (
        _qwen("0.5b", 896, 4864, 24, 14, 2, 151_936),
        _qwen("1.5b", 1536, 8960, 28, 12, 2, 151_936),
        _qwen("3b", 2048, 11_008, 36, 16, 2, 151_936),
        _qwen("7b", 3584, 18_944, 28, 28, 4, 152_064),
        _qwen("14b", 5120, 13_824, 48, 40, 8, 152_064),
        _qwen("32b", 5120, 27_648, 64, 40, 8, 152_064),
        _qwen("72b", 8192, 29_568, 80, 64, 8, 152_064),
    )
}


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config.json in `folder`. Raises BuildError if it is none."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; is {folder} a checkpoint or a bundle?") from error
    if not isinstance(config, dict):
        raise BuildError(f"{path}: is no JSON object")
    return config


def is_classifier(config: dict[str, Any]) -> bool:
    """Returns whether a config.json is a sequence classifier's, whose head is the labels' already."""
    return any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())


def shape_of(folder: Path) -> Shape:
    """Returns the shape of the checkpoint in `folder`. Raises BuildError if it is not of Qwen2's kind."""
    config = read_config(folder)
    path = folder / "config.json"
    if config.get("model_type") != "qwen2":
        raise BuildError(f"{path}: model_type {config.get('model_type')!r}; only qwen2 can be planned")
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    sizes = [config.get(key) for key in keys]
    hidden, intermediate, layers, heads, vocabulary = (size if isinstance(size, int) else 0 for size in sizes)
    if min(hidden, intermediate, layers, heads, vocabulary) < 1:
        raise BuildError(f"{path}: {', '.join(keys)} must be whole numbers over 0")
    return Shape(
        name=folder.resolve().name,
        hidden=hidden,
        intermediate=intermediate,
        layers=layers,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or hidden // heads,
        vocabulary=vocabulary,
        tied=bool(config.get("tie_word_embeddings")) or is_classifier(config),
    )
