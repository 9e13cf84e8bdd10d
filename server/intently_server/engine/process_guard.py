"""Sees to it that the engine's processes end with this one, however it ends.

vLLM's engine core outlives a server that is killed (SIGKILL, out of memory), and goes on holding the GPU's memory: seen
with 0.25.1 and 0.32.0. The guard is a small process that reads a pipe. The pipe ends when the server does, and then the
guard kills what has its mark and what it was told of, and removes the folders that it was told of.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from intently_server.engine import guard_script

logger = logging.getLogger(__name__)

GUARD_SCRIPT = Path(guard_script.__file__)
_LEFTOVER_GRACE_S = 0.2
_LOOK_EVERY_S = 0.5  # whether the guard lives
_LONGEST_PAUSE_S = 30.0  # where others do not live either


class ProcessGuard:
    """Kills processes once this one is gone: those that were started in its `marking`, with all that they start, and
    those it is told of. Linux only.

    It has a session of its own, so that Ctrl-C in a terminal does not end it before its time. Where it is killed
    nevertheless, another is started.
    """

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        self._told: set[int] = set()
        self._folders: list[Path] = []
        self._process = _start(self._mark)

    @contextlib.contextmanager
    def marking(self) -> Iterator[None]:
        """Whatever this process starts in the block must not outlive it, nor what that starts in its turn.

        There is one such block at a time in a process.
        """
        os.environ[guard_script.MARK] = self._mark
        try:
            yield
        finally:
            os.environ.pop(guard_script.MARK, None)

    def watch(self, processes: Iterable[psutil.Process]) -> None:
        """Adds processes to those that must not outlive this one."""
        new = [process.pid for process in processes if process.pid not in self._told]
        self._told.update(new)
        self._tell(new)

    def remove(self, folder: Path) -> None:
        """Adds a folder, by its absolute path, to what must not outlive this process."""
        self._folders.append(folder)
        self._tell([folder])

    async def keep(self) -> None:
        """Starts another guard wherever this one is killed. Returns never: to be cancelled."""
        pause_s = _LOOK_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            if self._process.poll() is None:
                pause_s = _LOOK_EVERY_S
            else:
                self._start_anew()
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Ends the guard, which kills what is left of those processes, and removes those folders."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, lines: Sequence[int | Path]) -> None:
        try:
            _write(self._process, lines)
        except BrokenPipeError:
            self._start_anew()

    def _start_anew(self) -> None:
        self.close()
        how = self._process.returncode
        logger.error("the guard of this server's processes has died (exit code %d); another is started", how)
        try:
            self._told &= {
                child.pid for child in psutil.Process().children(recursive=True)
            }  # others may have those now
            self._process = _start(self._mark)
            _write(self._process, [*self._told, *self._folders])
        except (OSError, psutil.Error) as error:
            logger.error("no other guard can be started: %s", error)


def _start(mark: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-S", str(GUARD_SCRIPT), mark]
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
            is_known = command != ""  # for a moment after its start a process has none, and could be any of those
            if is_known and process not in others and not _ends_by_itself(command):
                found.append(process)
    return found


def _ends_by_itself(command: str) -> bool:
    return "resource_tracker" in command or GUARD_SCRIPT.name in command


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Kills what outlived the engine: a worker whose engine core was killed holds its memory for seconds."""
    for process in psutil.wait_procs(processes, timeout=_LEFTOVER_GRACE_S)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_LEFTOVER_GRACE_S)
