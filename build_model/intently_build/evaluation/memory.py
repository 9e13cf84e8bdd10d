"""The memory of a process and all below it, and of the machine's GPUs, watched while it works."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

INTERVAL_SECONDS = 1.0
_ASK_SECONDS = 30.0


class MemoryWatch:
    """Remembers the greatest memory that was seen.

    Args:
      pid: of the process at the top.
      gpu_before: bytes that were in use on the GPUs before the process began, or None where there are none.
    """

    def __init__(self, pid: int, gpu_before: int | None = None) -> None:
        self._pid = pid
        self._gpu_before = gpu_before
        self._peak = 0
        self._gpu_peak = 0

    @property
    def peak_bytes(self) -> int | None:
        """The greatest sum seen, or None if none could be read."""
        return self._peak or None

    @property
    def peak_gpu_bytes(self) -> int | None:
        """The most that was seen in use on the GPUs over what was before, or None if none could be read."""
        return max(self._gpu_peak - (self._gpu_before or 0), 0) if self._gpu_peak else None

    def look(self) -> None:
        """Looks once."""
        self._peak = max(self._peak, tree_memory(self._pid))
        if self._gpu_before is not None:
            self._gpu_peak = max(self._gpu_peak, gpu_memory() or 0)


@contextmanager
def watch_memory(pid: int, gpu_before: int | None = None) -> Iterator[MemoryWatch]:
    """Looks at the start, every INTERVAL_SECONDS, and at the end of the block; at the GPUs if `gpu_before` is given."""
    watch, done = MemoryWatch(pid, gpu_before), threading.Event()

    def look_on() -> None:
        while not done.wait(INTERVAL_SECONDS):
            watch.look()

    watch.look()
    thread = threading.Thread(target=look_on, name="memory-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()
        watch.look()


def tree_memory(pid: int) -> int:
    """Returns the bytes that a process and all below it hold, pages that they share counted once; 0 if it is gone."""
    try:
        top = psutil.Process(pid)
        return sum(map(_held, [top, *top.children(recursive=True)]))
    except psutil.NoSuchProcess:
        return 0


def gpu_memory() -> int | None:
    """Returns the bytes in use on all GPUs of this machine by whoever it be, or None where no driver tells it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True)  # noqa: S603
        return sum(int(line) for line in said.stdout.splitlines()) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _held(process: psutil.Process) -> int:
    """Returns the proportional set size where the system tells it, or else the resident set size."""
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or info.rss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
