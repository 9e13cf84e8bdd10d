"""Sees to it that the engine's processes end with this one, however it ends.

vLLM's engine core outlives a server that is killed (SIGKILL, out of memory), and goes on holding the GPU's memory: seen
with 0.25.1 and 0.32.0. The guard is a small process that reads a pipe. The pipe ends when the server does, and then the
guard kills what it was told of.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

GUARD_SCRIPT = Path(__file__).with_name("guard_script.py")


class ProcessGuard:
    """Kills the processes it is told of once this process is gone. Linux only.

    It has a session of its own, so that Ctrl-C in a terminal does not end it before its time.
    """

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, "-I", "-S", str(GUARD_SCRIPT)], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    def watch(self, processes: Iterable[psutil.Process]) -> None:
        """Adds processes to those that must not outlive this one."""
        new = [process.pid for process in processes if process.pid not in self._told]
        pipe = self._process.stdin
        if pipe is None or not new:
            return
        pipe.write("".join(f"{pid}\n" for pid in new))
        pipe.flush()
        self._told.update(new)

    def close(self) -> None:
        """Ends the guard, which kills what is left of the processes it was told of."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
