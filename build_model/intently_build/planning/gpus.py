"""GPUs that are known, their memory, and which formats vLLM runs on them by compute capability; and on CPUs."""

from dataclasses import dataclass

from intently_build.quantizing.formats import Format

GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
      name: as `--gpu` has it.
      memory_gib: what CUDA reports of it with ECC on, in GiB, rounded down: less than the name says.
      capability: its compute capability times ten, as in sm90; None if it was not said.
    """

    name: str
    memory_gib: float
    capability: int | None


@dataclass(frozen=True)
class Support:
    """Whether a GPU runs a format, and how.

    Attributes:
      runs: whether vLLM does at all.
      how: the kernels, or why not.
    """

    runs: bool
    how: str


# Memory: as nvidia-smi reports it. A Grace Hopper or PCIe variant may have more or less: then say --memory.
KNOWN = {
    each.name: each
    for each in (
        Gpu("t4", 14.5, 75),
        Gpu("a10", 22.0, 86),
        Gpu("rtx3090", 23.5, 86),
        Gpu("a100-40g", 39.4, 80),
        Gpu("a100-80g", 79.1, 80),
        Gpu("l4", 22.0, 89),
        Gpu("rtx4090", 23.5, 89),
        Gpu("l40s", 44.3, 89),
        Gpu("h100-80g", 79.1, 90),
        Gpu("h200", 139.7, 90),
        Gpu("b200", 178.0, 100),
        Gpu("rtx5090", 31.3, 120),
    )
}


CPU = Gpu("cpu", 0.0, None)  # stands for any: its memory is the host's


def support(gpu: Gpu, weights: Format) -> Support:
    """Returns whether vLLM 0.25 to 0.32 runs the format on the GPU (read in its source; see the formats' table)."""
    if gpu == CPU:
        return _on_a_cpu(weights)
    capability = gpu.capability
    if capability is None:
        return Support(True, "compute capability not given")
    if capability < 80:
        return _before_ampere(weights)
    if weights.name == "fp8":
        return Support(True, "FP8 W8A8" if capability >= 89 else "as W8A16, by Marlin")
    if weights.name == "int8":
        if capability >= 100:
            return Support(False, "no INT8 kernel on Blackwell")
        return Support(True, "INT8 W8A8, Cutlass")
    if weights.bits == 4:
        return Support(True, "Machete" if 90 <= capability < 100 else "Marlin")
    if weights.name == "bnb-int8":
        return Support(True, "bitsandbytes; a plugin from vLLM 0.28 on")
    return Support(True, "bfloat16")


def _before_ampere(weights: Format) -> Support:
    """Before sm80 there is no bfloat16, and float16 of Qwen2.5 may overflow: each answer has to be checked."""
    if weights.name in ("bf16", "fp8", "bnb-int8"):
        return Support(False, "no bfloat16 before sm80")
    kernels = "INT8 W8A8, Cutlass" if weights.name == "int8" else "Marlin"
    return Support(True, f"{kernels}, in float16 only, which Qwen2.5 may overflow")


def _on_a_cpu(weights: Format) -> Support:
    """Measured with vLLM 0.32, but for bitsandbytes."""
    if weights.name == "fp8":
        return Support(True, "FP8 emulated, slow")
    if weights.name == "bnb-int8":
        return Support(True, "bitsandbytes by the plugin vllm-bnb-plugin")
    return Support(True, {16: "bfloat16", 8: "INT8 W8A8", 4: "weights of 4 bits"}[weights.bits])
