"""What must hold before a tool starts: some tools save in silence what no server can load."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.quantizing.checkpoint import Checkpoint
from intently_build.quantizing.formats import Format, expected_bytes

GROUP_SIZES = (128, 64, 32)  # that vLLM's kernels have
CPU_MULTIPLE = 32  # vLLM's kernel for 4-bit weights on CPUs: inputs and outputs
SPARE = 1.1  # of the computed bytes: headers, tokenizer, the tool's own files

_FLOATS = {"BF16", "F16", "F32"}


def check_weights(checkpoint: Checkpoint) -> None:
    """Raises BuildError unless this is a decoder that is not quantized yet."""
    folder = checkpoint.folder
    if "quantization_config" in checkpoint.config:
        raise BuildError(f"{folder}: quantized already; quantize the checkpoint that it was made from")
    if not checkpoint.linears:
        raise BuildError(f"{folder}: no decoder layers (model.layers.N) in it; is it a Qwen2 checkpoint?")
    for name in checkpoint.linears:
        dtype = checkpoint.tensors[f"{name}.weight"].dtype
        if dtype not in _FLOATS:
            raise BuildError(f"{folder}: {name} is stored as {dtype}, not in floating point")


def check_group(
    form: Format, group_size: int, linears: Mapping[str, tuple[int, int]], option: str = "--group-size"
) -> None:
    """Raises BuildError naming the first layer that groups of this size do not divide, and a size that divides all.

    `option` is where the size is given.
    """
    if not form.grouped:
        return
    if group_size not in GROUP_SIZES:
        raise BuildError(f"{option} {group_size}: must be one of {', '.join(map(str, GROUP_SIZES))}")
    for name, (_, inputs) in linears.items():
        if inputs % group_size:
            fits = [size for size in GROUP_SIZES if all(shape[1] % size == 0 for shape in linears.values())]
            remedy = f"{option} {fits[0]} divides every layer" if fits else "no group size divides every layer"
            raise BuildError(f"{name}: {inputs} inputs cannot be divided into groups of {group_size}; {remedy}")


def cpu_warnings(form: Format, linears: Mapping[str, tuple[int, int]]) -> list[str]:
    """Returns a line if vLLM's kernel for CPUs cannot compute some layer in this format; CUDA's can."""
    if form.bits != 4:
        return []
    odd = {name: shape for name, shape in linears.items() if any(size % CPU_MULTIPLE for size in shape)}
    if not odd:
        return []
    name, (outputs, inputs) = next(iter(odd.items()))
    return [
        f"{name}: {outputs} x {inputs} is not divisible by {CPU_MULTIPLE} (as in {len(odd)} layers): "
        "vLLM on a CPU cannot serve this"
    ]


def check_disk(checkpoint: Checkpoint, form: Format, group_size: int, output: Path) -> int:
    """Returns the bytes needed beside `output` while the tool works. Raises BuildError if they are not free."""
    linears = checkpoint.linears.values()
    written = expected_bytes(form, group_size, linears, checkpoint.values_beside_linears)
    needed = int(written * SPARE) * (2 if form.tool == "gptqmodel" else 1)  # its file is written anew with the head
    there = next(folder for folder in output.absolute().parents if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BuildError(f"{output}: needs {needed / 1e6:,.0f} MB on that disk, {free / 1e6:,.0f} MB are free")
    return needed
