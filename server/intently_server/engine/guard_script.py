"""The guard's own program, run by ProcessGuard.

It reads process ids and absolute paths of folders, a line each; at the end of input it kills those and removes these.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" if there is none. Tells it from a later one of the same id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # field 22 of proc(5): the name before it may hold anything


def main() -> None:
    """Waits for the end of input, which is the end of whoever started this, and leaves nobody behind."""
    started, folders = {}, []
    for line in sys.stdin:
        if line.startswith("/"):
            folders.append(line.rstrip("\n"))
            continue
        pid = int(line)
        started[pid] = start_time(pid)
    for pid, time in started.items():
        if time and start_time(pid) == time:
            with contextlib.suppress(ProcessLookupError):  # it has just ended; the others are still to be killed
                os.kill(pid, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
