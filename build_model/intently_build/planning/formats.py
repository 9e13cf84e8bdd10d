"""Formats of weights: how many bytes a quantized decoder takes, its scales and zero points included."""

from dataclasses import dataclass

from intently_build.planning.shapes import Shape

PLAIN_BYTES = 2  # of a weight that is not quantized: bfloat16
_SCALE_BYTES = 2  # of a group's or a channel's scale: bfloat16 or float16


@dataclass(frozen=True)
class WeightFormat:
    """How the decoder's Linear layers are stored. Embedding, norms, biases and head stay in bfloat16.

    Attributes:
      name: as `intently-build quantize --to` has it.
      bits: of a weight.
      grouped: whether `--group-size` weights of a row share a scale; otherwise a whole row does.
      scale_bytes: of one scale; 0 if there is none.
      zero_bits: of a group's zero point; 0 if the format is symmetric and stores none.
      input_index: whether each input of a layer has a 4-byte group index (AutoGPTQ's g_idx).
      layer_bytes: of what a layer has besides: compressed-tensors' weight_shape, bitsandbytes' weight_format.
      quantized_inputs: whether activations are quantized to a byte too.
    """

    name: str
    bits: int
    grouped: bool = False
    scale_bytes: int = 0
    zero_bits: int = 0
    input_index: bool = False
    layer_bytes: int = 0
    quantized_inputs: bool = False

    def misfit(self, shape: Shape, group_size: int) -> str | None:
        """Returns why the shape cannot be stored like this, or None."""
        if self.grouped:
            for name, inputs, _ in shape.linears:
                if inputs % group_size:
                    return f"group size {group_size} does not divide the {inputs} inputs of {name}"
        return None

    def weight_bytes(self, shape: Shape) -> int:
        """Returns the bytes of the quantized weights alone."""
        return shape.linear_weights * self.bits // 8

    def scale_and_zero_bytes(self, shape: Shape, group_size: int) -> int:
        """Returns the bytes of all that a quantized layer has but weights: scales, zero points, indices."""
        scales = shape.linear_weights // group_size if self.grouped else shape.linear_outputs
        index = 4 * shape.linear_inputs if self.input_index else 0
        besides = self.layer_bytes * shape.layers * len(shape.linears)
        return scales * self.scale_bytes + scales * self.zero_bits // 8 + index + besides


FORMATS = {
    each.name: each
    for each in (
        WeightFormat("bf16", 16),
        WeightFormat("fp8", 8, scale_bytes=_SCALE_BYTES, quantized_inputs=True),
        WeightFormat("int8", 8, scale_bytes=_SCALE_BYTES, quantized_inputs=True),
        WeightFormat("gptq-int4", 4, grouped=True, scale_bytes=_SCALE_BYTES, layer_bytes=16),
        WeightFormat("autogptq-int4", 4, grouped=True, scale_bytes=_SCALE_BYTES, zero_bits=4, input_index=True),
        WeightFormat("awq", 4, grouped=True, scale_bytes=_SCALE_BYTES, zero_bits=4, layer_bytes=16),
        WeightFormat("bnb-int8", 8, scale_bytes=4, layer_bytes=1),
    )
}
