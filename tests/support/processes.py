"""The processes that tests start: ended in order, and watched by a mark that grandchildren inherit too."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "TESTS_PROCESS_MARK"


def mark_children() -> str:
    """Marks every process that is started from now on; returns the mark."""
    return os.environ.setdefault(MARK, uuid.uuid4().hex)


def left_behind(mark: str, within_s: float = 60.0) -> list[str]:
    """Processes with the mark that have not ended `within_s` from now: a full machine takes its time to end one.

    As text for people: each with the test that started it.

    The resource tracker of Python's multiprocessing is none of them: it ends with the process that it serves.
    """
    give_up = time.monotonic() + within_s
    while True:
        found = [_describe(process) for process in _marked(mark)]
        if not found or time.monotonic() > give_up:
            return found
        time.sleep(0.1)


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid`."""
    return psutil.Process(pid).children(recursive=True)


def end(process: "subprocess.Popen[bytes]", within_s: float) -> None:
    """Ends it in order, if it has not; by force where that takes longer."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            ours = process.pid != os.getpid() and f"{MARK}={mark}" in _environment(process.pid)
            if ours and process.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in _describe(process):
                yield process
        except (psutil.NoSuchProcess, OSError):
            continue


def _environment(pid: int) -> list[str]:
    """Variables it was started with, NAME=VALUE. psutil's reading ends where a process has put its title."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")


def _describe(process: psutil.Process) -> str:
    """Its id, state, parent and command, and which test it was started in."""
    try:
        with process.oneshot():
            what = f"{process.pid} ({process.status()}, of {process.ppid()}) {' '.join(process.cmdline()).strip()}"
        started_in = [each for each in _environment(process.pid) if each.startswith("PYTEST_CURRENT_TEST=")]
        return " ".join([what, *started_in])
    except (psutil.Error, OSError):
        return f"{process.pid}"
