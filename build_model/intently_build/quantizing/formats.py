"""The formats that a checkpoint can be quantized to: what each is, which tool writes it, and what vLLM serves it on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from intently_build.errors import BuildError

SCALE_BITS = 16
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

    def group(self, asked: int) -> int:
        """Returns how many weights share a scale: `asked`, or 0 where a whole row does."""
        return asked if self.grouped else 0

    def stored_bytes(self, shape: tuple[int, int], group: int) -> int:
        """Returns what a Linear layer of `shape` (outputs, inputs) takes, scales and zero points included."""
        outputs, inputs = shape
        scales = outputs * (inputs // group if group else 1)
        zeros = scales * self.bits if self.zero_points else 0
        return (outputs * inputs * self.bits + scales * SCALE_BITS + zeros + 7) // 8


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
