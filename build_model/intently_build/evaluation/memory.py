"""The memory of a process and all below it, watched while it works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

INTERVAL_SECONDS = 1.0


class MemoryWatch:
    """Remembers the greatest memory that was seen.

    Args:
      pid: of the process at the top.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0

    @property
    def peak_bytes(self) -> int | None:
        """The greatest sum seen, or None if none could be read."""
        return self._peak or None

    def look(self) -> None:
        """Looks once."""
        self._peak = max(self._peak, tree_memory(self._pid))


@contextmanager
def watch_memory(pid: int) -> Iterator[MemoryWatch]:
    """Looks at the start, every INTERVAL_SECONDS, and at the end of the block."""
    watch, done = MemoryWatch(pid), threading.Event()

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


def _held(process: psutil.Process) -> int:
    """Returns the proportional set size where the system tells it, or else the resident set size."""
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or info.rss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
