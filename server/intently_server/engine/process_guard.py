"""Sees to it that the engine's processes end with this one, however it ends.

vLLM's engine core outlives a server that is killed (SIGKILL, out of memory), and goes on holding the GPU's memory: seen
with 0.25.1 and 0.32.0. The guard is a small process that reads a pipe. The pipe ends when the server does, and then the
guard kills what it was told of, and removes the folders that it was told of.
"""

import contextlib
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import psutil

GUARD_SCRIPT = Path(__file__).with_name("guard_script.py")
_LEFTOVER_GRACE_S = 0.2


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

    def remove(self, folder: Path) -> None:
        """Adds a folder, by its absolute path, to what must not outlive this process."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{folder}\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Ends the guard, which kills what is left of the processes it was told of, and removes those folders."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def child_processes(others: Collection[psutil.Process] = ()) -> list[psutil.Process]:
    """Processes below this one but `others`.

    Those that end by themselves after this one are none of them: our guards, and multiprocessing's resource tracker.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a compiler's, say, which has ended meanwhile
            command = " ".join(process.cmdline())
            if process not in others and "resource_tracker" not in command and GUARD_SCRIPT.name not in command:
                found.append(process)
    return found


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Kills what outlived the engine: a worker whose engine core was killed holds its memory for seconds."""
    for process in psutil.wait_procs(processes, timeout=_LEFTOVER_GRACE_S)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_LEFTOVER_GRACE_S)
