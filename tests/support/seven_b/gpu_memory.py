"""The memory that a GPU's processes hold together, as nvidia-smi tells it, looked at while something else goes on."""

import contextlib
import gc
import shutil
import subprocess
import threading
from collections.abc import Collection, Iterator

import torch

_QUERY = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
_BY_PROCESS = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_EVERY_S = 0.5


class GpuMemory:
    """The greatest memory seen, of the first GPU; None where there is no GPU."""

    def __init__(self) -> None:
        self.peak_mib: int | None = None

    def look(self) -> None:
        """Looks once."""
        found = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=False)
        used = found.stdout.split("\n", 1)[0].strip()
        if used.isdecimal():
            self.peak_mib = max(self.peak_mib or 0, int(used))


@contextlib.contextmanager
def gpu_memory_watched() -> Iterator[GpuMemory]:
    """Looks until the block ends."""
    memory, done = GpuMemory(), threading.Event()
    if shutil.which(_QUERY[0]) is None:
        yield memory
        return

    def look_on() -> None:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            while not done.wait(_EVERY_S):
                memory.look()

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def memory_of(pids: Collection[int]) -> int | None:
    """MiB that those processes hold on GPUs, whoever else works there; None where nvidia-smi does not tell it."""
    if shutil.which(_BY_PROCESS[0]) is None:
        return None
    found = subprocess.run(_BY_PROCESS, capture_output=True, text=True, timeout=20, check=False)
    held = [line.split(",") for line in found.stdout.splitlines() if line.count(",") == 1]
    theirs = [used.strip() for pid, used in held if pid.strip().isdecimal() and int(pid) in pids]
    return sum(map(int, theirs)) if theirs and all(used.isdecimal() for used in theirs) else None


def give_back() -> None:
    """Gives back the memory that this process keeps for later, which an engine in another one asks for."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
