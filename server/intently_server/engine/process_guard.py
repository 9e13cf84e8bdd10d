"""Sees to it that the engine's processes end with this one, however it ends.

vLLM's engine core outlives a server that is killed (SIGKILL, out of memory), and goes on holding the GPU's memory: seen
with 0.25.1 and 0.32.0. The guard is a small process that reads a pipe. The pipe ends when the server does, and then the
guard kills what it was told of, and removes the folders that it was told of.
"""

import contextlib
import logging
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

GUARD_SCRIPT = Path(__file__).with_name("guard_script.py")
_LEFTOVER_GRACE_S = 0.2


class ProcessGuard:
    """Kills the processes it is told of once this process is gone. Linux only.

    It has a session of its own, so that Ctrl-C in a terminal does not end it before its time. Where it is killed
    nevertheless, another is started once there is something to tell it.
    """

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._folders: list[Path] = []
        self._process = _start()

    def watch(self, processes: Iterable[psutil.Process]) -> None:
        """Adds processes to those that must not outlive this one."""
        new = [process.pid for process in processes if process.pid not in self._told]
        self._told.update(new)
        self._tell(new)

    def remove(self, folder: Path) -> None:
        """Adds a folder, by its absolute path, to what must not outlive this process."""
        self._folders.append(folder)
        self._tell([folder])

    def close(self) -> None:
        """Ends the guard, which kills what is left of the processes it was told of, and removes those folders."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, lines: Sequence[int | Path]) -> None:
        try:
            _write(self._process, lines)
        except BrokenPipeError:
            logger.error("the guard of this server's processes has died; another is started")
            try:
                self._start_anew()
            except OSError as error:
                logger.error("no other guard can be started: %s", error)

    def _start_anew(self) -> None:
        self.close()
        self._process = _start()
        self._told &= {child.pid for child in psutil.Process().children(recursive=True)}  # others may have those by now
        _write(self._process, [*self._told, *self._folders])


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-S", str(GUARD_SCRIPT)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)  # noqa: S603  # our own


def _write(process: "subprocess.Popen[bytes]", lines: Sequence[int | Path]) -> None:
    if process.stdin is not None and not process.stdin.closed and lines:
        process.stdin.write("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))


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
