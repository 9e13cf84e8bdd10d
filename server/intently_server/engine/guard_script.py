"""The guard's own program, run by ProcessGuard with the value of its mark.

It reads process ids and absolute paths of folders, a line each. At the end of input it kills those, and all processes
that have the mark in their environment, and removes these folders.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

MARK = "ENGINE_OF_SERVER"
"""Environment variable whose value says by which guard a process is to be ended."""

_NOT_FOR_IT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)  # may go to all processes of a service
_ROUNDS = 500  # what starts a process while it is being killed leaves that to the next round
_ROUND_S = 0.02
_QUIET_ROUNDS = 5  # that find nobody, before it ends: a process that is just starting has no environment yet


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" if there is none. Tells it from a later one of the same id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # field 22 of proc(5): the name before it may hold anything


def kill(pid: int) -> None:
    """Kills a process, if it has not just ended, and is not this one: others are still to be killed."""
    if pid != os.getpid():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def kill_marked(value: str) -> bool:
    """Kills all processes that were started with this mark, but for this one; whether there was any.

    Those that have ended have no environment.
    """
    found = False
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if pid != os.getpid() and f"{MARK}={value}".encode() in (folder / "environ").read_bytes():
                kill(pid)
                found = True
    return found


def main() -> None:
    """Waits for the end of input, which is the end of whoever started this, and leaves nobody behind."""
    for number in _NOT_FOR_IT:
        signal.signal(number, signal.SIG_IGN)
    mark, started, folders = sys.argv[1], {}, []
    for line in sys.stdin:
        if line.startswith("/"):
            folders.append(line.rstrip("\n"))
            continue
        pid = int(line)
        started[pid] = start_time(pid)
    for pid, when in started.items():
        if when and start_time(pid) == when:
            kill(pid)
    quiet = 0
    for _ in range(_ROUNDS):
        quiet = 0 if kill_marked(mark) else quiet + 1
        if quiet == _QUIET_ROUNDS:
            break
        time.sleep(_ROUND_S)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
