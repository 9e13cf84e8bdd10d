"""The table of formats that a checkpoint can be quantized to: what each is, which tool writes it, where vLLM serves it.

What each takes is spelled out to the byte, as the tools write it; `planning` reckons by the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from intently_build.errors import BuildError

DTYPE = "bfloat16"  # of all that is not quantized; float16 Qwen2.5 can overflow


@dataclass(frozen=True)
class Format:
    """One way to store the decoder's Linear layers.

    Attributes:
      name: as on the command line.
      tool: the Python package that quantizes to it.
      method: what the manifest's `Quantization.method` says.
      config_method: what `quant_method` says in the checkpoint's config.json.
      bits: of a stored weight.
      grouped: whether so many weights of a row share a scale; if not, a whole row does.
      zero_points: whether each scale has a zero point of as many bits as a weight.
      calibrated: whether the tool looks at rows.
      served: on what vLLM serves it, for people.
      scale_bytes: of one scale: bfloat16 or float16, or float32; 0 if there is none.
      input_index: whether each input of a layer has a 4-byte group index (AutoGPTQ's g_idx).
      layer_bytes: of what a layer has besides: compressed-tensors' weight_shape, bitsandbytes' weight_format.
      quantized_inputs: whether activations are quantized to a byte too.
    """

    name: str
    tool: str
    method: str
    config_method: str
    bits: int
    grouped: bool
    zero_points: bool
    calibrated: bool
    served: str
    scale_bytes: int = 2
    input_index: bool = False
    layer_bytes: int = 0
    quantized_inputs: bool = False

    def group(self, asked: int) -> int:
        """Returns how many weights share a scale: `asked`, or 0 where a whole row does."""
        return asked if self.grouped else 0

    def stored_bytes(self, shape: tuple[int, int], group: int) -> int:
        """Returns what a Linear layer of `shape` (outputs, inputs) takes, scales and zero points included."""
        return self.weight_bytes(shape) + self.beside_bytes(shape, group)

    def weight_bytes(self, shape: tuple[int, int]) -> int:
        """Returns what the quantized weights of a layer of `shape` (outputs, inputs) take alone."""
        outputs, inputs = shape
        return (outputs * inputs * self.bits + 7) // 8

    def beside_bytes(self, shape: tuple[int, int], group: int) -> int:
        """Returns what such a layer has but weights: scales, zero points, indices."""
        outputs, inputs = shape
        scales = outputs * (inputs // group if group else 1)
        zeros = (scales * self.bits + 7) // 8 if self.zero_points else 0
        return scales * self.scale_bytes + zeros + (4 * inputs if self.input_index else 0) + self.layer_bytes


# vLLM 0.32, measured on its CPU build and read in its source for CUDA.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Format(
                name="gptq-int4",
                tool="llmcompressor",
                method="gptq",
                config_method="compressed-tensors",
                bits=4,
                grouped=True,
                zero_points=False,
                calibrated=True,
                served="CPU; CUDA from Turing (Marlin), Hopper (Machete)",
                layer_bytes=16,
            ),
            Format(
                name="autogptq-int4",
                tool="gptqmodel",
                method="gptq",
                config_method="gptq",
                bits=4,
                grouped=True,
                zero_points=True,
                calibrated=True,
                served="CPU; CUDA from Turing (Marlin)",
                input_index=True,
            ),
            Format(
                name="int8",
                tool="llmcompressor",
                method="int8",
                config_method="compressed-tensors",
                bits=8,
                grouped=False,
                zero_points=False,
                calibrated=True,
                served="CPU; CUDA from Turing to Hopper (Cutlass), not Blackwell",
                quantized_inputs=True,
            ),
            Format(
                name="fp8",
                tool="llmcompressor",
                method="fp8",
                config_method="compressed-tensors",
                bits=8,
                grouped=False,
                zero_points=False,
                calibrated=False,
                served="CUDA from Ada (Cutlass), Ampere with weights alone (Marlin); CPU, emulated and slow",
                quantized_inputs=True,
            ),
            Format(
                name="awq",
                tool="llmcompressor",
                method="awq",
                config_method="compressed-tensors",
                bits=4,
                grouped=True,
                zero_points=True,
                calibrated=True,
                served="CPU; CUDA from Turing (Marlin)",
                layer_bytes=16,
            ),
            Format(
                name="bnb-int8",
                tool="bitsandbytes",
                method="bitsandbytes",
                config_method="bitsandbytes",
                bits=8,
                grouped=False,
                zero_points=False,
                calibrated=False,
                served="CPU and CUDA with vllm-bnb-plugin; CUDA without it up to vLLM 0.27.1",
                scale_bytes=4,
                layer_bytes=1,
            ),
        )
    }
)


def find_format(name: str) -> Format:
    """Returns the format of that name. Raises BuildError naming all of them."""
    if name not in FORMATS:
        raise BuildError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def expected_bytes(form: Format, group_size: int, linears: Iterable[tuple[int, int]], other_values: int) -> int:
    """Returns what the weights of a whole checkpoint take.

    Args:
      form: the format of the decoder's Linear layers.
      group_size: the weights that share a scale, where the format has groups.
      linears: the shape (outputs, inputs) of each of these layers.
      other_values: how many values are not quantized.
    """
    group = form.group(group_size)
    return sum(form.stored_bytes(shape, group) for shape in linears) + 2 * other_values
