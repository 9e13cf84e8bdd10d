"""The tensors of a Qwen2 of a given shape, by name, and random values for them that give finite answers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from intently_build.planning.shapes import Shape

BIAS = 0.1  # standard deviation; that of a weight keeps what goes through it at the size that it came in
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_BIASED = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class Planned:
    """A tensor that is to be made.

    Attributes:
      name: as in a checkpoint.
      size: its sizes; (outputs, inputs) for a Linear layer.
      deviation: standard deviation of its values, around 0; or None where all of them are 1.
      linear: whether it is the weight of a Linear layer of the decoder, which a format may quantize.
    """

    name: str
    size: tuple[int, ...]
    deviation: float | None
    linear: bool = False

    def draw(self, seed: int, device: torch.device) -> torch.Tensor:
        """Returns its values in bfloat16: the same for the same seed on the same kind of device."""
        if self.deviation is None:
            return torch.ones(self.size, dtype=torch.bfloat16, device=device)
        generator = torch.Generator(device).manual_seed(seed)
        values = torch.randn(self.size, generator=generator, dtype=torch.bfloat16, device=device)
        return values.mul_(self.deviation)

    @property
    def values(self) -> int:
        """How many."""
        return math.prod(self.size)


def planned_tensors(shape: Shape, head: str, rows: int) -> Iterator[Planned]:
    """Yields every tensor of a model of that shape.

    Args:
      shape: its sizes.
      head: "score" for a classifier, "lm_head" for a causal model.
      rows: of the head.
    """
    yield Planned("model.embed_tokens.weight", (shape.vocabulary, shape.hidden), 1.0)
    for layer in range(shape.layers):
        yield from _layer(shape, f"model.layers.{layer}")
    yield Planned("model.norm.weight", (shape.hidden,), None)
    yield Planned(f"{head}.weight", (rows, shape.hidden), shape.hidden**-0.5)


def _layer(shape: Shape, prefix: str) -> Iterator[Planned]:
    for name, inputs, outputs in shape.linears:
        module = f"{prefix}.{'self_attn' if name in _ATTENTION else 'mlp'}.{name}"
        yield Planned(f"{module}.weight", (outputs, inputs), inputs**-0.5, linear=True)
        if name in _BIASED:
            yield Planned(f"{module}.bias", (outputs,), BIAS)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield Planned(f"{prefix}.{norm}.weight", (shape.hidden,), None)
