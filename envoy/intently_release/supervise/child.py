"""A process that leads a group of its own, with all that it starts: begun here, or found alive and adopted."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from intently_release.config.servers import is_of_front_ends

logger = logging.getLogger(__name__)

_LEFT_S = 5.0  # what the dead one had started ends by itself, or is killed after this


class Child:
    """A process that runs, or has.

    Args:
        process: It.
        started: The same as whom to ask for its exit; None if somebody else has started it.
    """

    def __init__(self, process: psutil.Process, started: "subprocess.Popen[bytes] | None" = None) -> None:
        self._process = process
        self._started = started
        self._dead_since: float | None = None
        self.started_at = datetime.fromtimestamp(process.create_time(), UTC)

    @classmethod
    def start(cls, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> "Child":
        """Starts one. Signals of the terminal do not reach it, and it outlives whoever started it.

        Args:
            arguments: Command and arguments.
            env: Environment variables, over those of this process. Of front ends this process's own tell nothing:
                Envoy has to know of them too, and does by the configuration alone.
            log: Its output is added to this file.

        Raises:
            OSError: if it cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"=== {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}: starting\n".encode())
            output.flush()
            started = subprocess.Popen(  # noqa: S603  # the operator's own command
                list(arguments),
                env={**{name: value for name, value in os.environ.items() if not is_of_front_ends(name)}, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(psutil.Process(started.pid), started)

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def lived_s(self) -> float:
        """Seconds since it was started."""
        return time.time() - self.started_at.timestamp()

    @property
    def last_exit(self) -> str:
        """How it ended, in words."""
        code = self._started.returncode if self._started else None
        if code is None:
            return "ended, unseen by this supervisor"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def has_ended(self) -> bool:
        """Whether it has, and all that it had started too: a GPU may only be taken again then. Never waits."""
        if self._lives():
            return False
        if not self._group_lives():
            return True
        now = time.monotonic()
        self._dead_since = self._dead_since or now
        if now > self._dead_since + _LEFT_S:
            logger.warning("what process %d had started outlives it, and is killed", self.pid)
            self._signal_group(signal.SIGKILL)
        return False

    def terminate(self) -> None:
        """Tells it to end in order; told again, a server hurries."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()

    def move_streams(self) -> bool:
        """Tells it to let its open streams move; False if it would not understand, and was not told.

        A server of a version that knows nothing of that would be ended by the signal: the kernel says whether anybody
        waits for it.
        """
        if not _catches(self.pid, signal.SIGUSR1):
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(signal.SIGUSR1)
        return True

    def kill(self) -> None:
        """Ends it at once, and all that it has started."""
        self._signal_group(signal.SIGKILL)

    def _lives(self) -> bool:
        if self._started is not None:
            return self._started.poll() is None
        return _is_alive(self._process)

    def _group_lives(self) -> bool:
        if not self._signal_group(0):
            return False
        return any(_is_alive(process) for process in psutil.process_iter() if _group_of(process.pid) == self.pid)

    def _signal_group(self, number: int) -> bool:
        """Whether there is anybody to signal."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal: `SigCgt` of proc(5), a bit for each from 1 on."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    fields = dict(line.partition(":")[::2] for line in status.splitlines())
    return bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs. One that has ended and that nobody has asked for its exit does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
