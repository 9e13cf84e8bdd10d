"""A lock that says who holds it. The kernel frees it when its holder dies, however that happens."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from intently_release.errors import Busy, StateProblem

_NAMED_WITHIN_S = 0.5  # who has just got the lock may not have written its name yet
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes:
        command: What it is doing, in the words of the command line.
        pid: Of its process.
        since: When it got the lock, in seconds since the epoch.
    """

    command: str
    pid: int
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since).astimezone()
        return f"`{self.command}` (pid {self.pid}, since {since:%Y-%m-%d %H:%M:%S %Z})"


@contextlib.contextmanager
def locked(path: Path, command: str) -> Iterator[None]:
    """Holds the lock while the block runs. Within one process, too, only one block can.

    Raises:
        Busy: if it is held; the text says by whom.
        StateProblem: if the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateProblem(f"cannot lock {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{path.parent} is held by {_who(path)}: wait for it, or end it") from None
        _write(descriptor, json.dumps(asdict(Holder(command, os.getpid(), time.time()))))
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock; None if nobody does, or nobody who is known. Takes no part in the locking."""
    try:
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
        began = psutil.Process(holder.pid).create_time()
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return holder if began <= holder.since + 1 else None  # a later process has got the number of a dead one


def _who(path: Path) -> str:
    give_up = time.monotonic() + _NAMED_WITHIN_S
    while (holder := holder_of(path)) is None and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    return str(holder or "another command")


def _write(descriptor: int, text: str) -> None:
    """Text that is there whole or not at all to a reader who may come between: JSON cut short is no JSON."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
