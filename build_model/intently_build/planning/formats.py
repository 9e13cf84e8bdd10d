"""The formats that a decoder can be stored in, bfloat16 among them, and how many bytes a whole one takes in each."""

from collections.abc import Mapping
from types import MappingProxyType

from intently_build.planning.shapes import Shape
from intently_build.quantizing.formats import DTYPE, Format
from intently_build.quantizing.formats import FORMATS as QUANTIZED

PLAIN_BYTES = 2  # of a weight that is not quantized: bfloat16
BF16 = Format(
    name="bf16",
    tool="",
    method="none",
    config_method="",
    bits=16,
    grouped=False,
    zero_points=False,
    calibrated=False,
    served=f"whatever computes in {DTYPE}",
    scale_bytes=0,
)
FORMATS: Mapping[str, Format] = MappingProxyType({BF16.name: BF16, **QUANTIZED})


def misfit(form: Format, shape: Shape, group_size: int) -> str | None:
    """Returns why the shape cannot be stored like this, or None."""
    if form.grouped:
        for name, inputs, _ in shape.linears:
            if inputs % group_size:
                return f"group size {group_size} does not divide the {inputs} inputs of {name}"
    return None


def weight_bytes(form: Format, shape: Shape) -> int:
    """Returns the bytes of the quantized weights alone."""
    return shape.layers * sum(form.weight_bytes((outputs, inputs)) for _, inputs, outputs in shape.linears)


def scale_and_zero_bytes(form: Format, shape: Shape, group_size: int) -> int:
    """Returns the bytes of all that quantized layers have but weights: scales, zero points, indices."""
    group = form.group(group_size)
    return shape.layers * sum(form.beside_bytes((outputs, inputs), group) for _, inputs, outputs in shape.linears)
