"""The machine that figures are measured on: its GPU under the name that `--gpu` has for it, or its CPU."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.planning.gpus import CPU, KNOWN, Gpu

QUERY = ("--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")

_ASK_SECONDS = 30.0
_NEAR = 0.06  # of a known GPU's memory: drivers differ by as much, variants by more


@dataclass(frozen=True)
class Machine:
    """What computes.

    Attributes:
      gpu: as `--gpu` has it: "cpu", the name of a known GPU, or else one made of what its driver calls it.
      text: what it is, for people.
      memory_gib: of the GPU, or of the host where the CPU computes.
      capability: the GPU's compute capability times ten; None for a CPU.
    """

    gpu: str
    text: str
    memory_gib: float
    capability: int | None

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU computes, so that its memory is what is short."""
        return self.gpu != CPU.name


def this_machine(on_cpu: bool) -> Machine:
    """Returns this machine, as a program sees it that computes on the CPU or on the first GPU that it may use.

    Raises BuildError if a driver is there and does not say which GPU it has.
    """
    program = None if on_cpu else shutil.which("nvidia-smi")
    if program is None:
        return _cpu()
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    chosen = ("--id", first) if first else ()
    try:
        said = subprocess.run(  # noqa: S603  # the driver's own program
            [program, *QUERY, *chosen], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        ).stdout
        name, memory, capability = (part.strip() for part in said.splitlines()[0].rsplit(",", 2))
        return gpu_machine(name, float(memory) / 1024, round(float(capability) * 10), len(said.splitlines()))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise BuildError(f"{program}: does not say which GPU this machine has: {error}") from error


def gpu_machine(device: str, memory_gib: float, capability: int, count: int = 1) -> Machine:
    """Returns a machine with a GPU that its driver calls `device`."""
    words = re.findall(r"[a-z0-9]+", device.lower())
    known = {*words, *(one + other for one, other in pairwise(words))}
    gpu = next((gpu.name for gpu in KNOWN.values() if _is(gpu, known, memory_gib)), "-".join(words) or "gpu")
    several = f", one of {count}" if count > 1 else ""
    return Machine(gpu, f"{device}, {memory_gib:.0f} GiB{several}", round(memory_gib, 1), capability)


def find_target(name: str, machine: Machine) -> Gpu:
    """Returns the GPU of that name: a known one, this machine's, or `CPU`. Raises BuildError naming all of them."""
    if name == CPU.name:
        return CPU
    if name in KNOWN:
        return KNOWN[name]
    if name == machine.gpu:
        return Gpu(machine.gpu, machine.memory_gib, machine.capability)
    names = dict.fromkeys((*KNOWN, CPU.name, machine.gpu))
    raise BuildError(f"--gpu {name}: not known; known are {', '.join(names)}")


def _is(gpu: Gpu, words: Iterable[str], memory_gib: float) -> bool:
    stem = gpu.name.partition("-")[0]
    return stem in words and abs(memory_gib / gpu.memory_gib - 1) < _NEAR


def _cpu() -> Machine:
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    said = ""
    with suppress(OSError):  # then the processor has no name here
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    name = found.group(1).strip() if found else platform.machine()
    return Machine(CPU.name, f"CPU {name}, {cores} cores, {memory:.0f} GiB", round(memory, 1), None)
