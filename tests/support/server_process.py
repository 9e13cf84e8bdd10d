"""The server as operators run it: the command intently-server in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from intently_build.quantizing.environment import VARIABLE as BUILD_ENVIRONMENT

COMMAND = Path(sys.executable).with_name("intently-server")
SMALL_ENGINE = ("--enforce-eager", "--kv-cache-gib", "1")  # a quick start in little memory


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that is SERVING, or was.

    Attributes:
        log: What it writes to standard error, its engine's log included.
        admin: The address of its admin port; empty where it has none.
        front_ends: The own addresses of its front ends, where they have some.
    """

    process: "subprocess.Popen[bytes]"
    address: str
    log: Path
    admin: str = ""
    front_ends: tuple[str, ...] = ()

    def descendants(self) -> list[psutil.Process]:
        """The engine core, its worker, and Python's resource tracker."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def named(self, name: str) -> psutil.Process:
        """The one process below the server whose name has `name` in it."""
        [found] = [process for process in self.descendants() if name in _title(process)]
        return found


@contextlib.contextmanager
def running_server(bundle: Path, folder: Path, *flags: str) -> Iterator[ServerProcess]:
    """Runs a server on a free port until the block ends; yields once it is SERVING. Kills what is left of it.

    Raises:
        RuntimeError: if it ends before; the text is its log.
    """
    ready, log = folder / "ready.json", folder / "server.log"
    ready.unlink(missing_ok=True)  # of a server before this one
    arguments = ["--bundle", str(bundle), "--address", "127.0.0.1:0", "--ready-file", str(ready), *SMALL_ENGINE, *flags]
    with log.open("wb") as output:
        process = subprocess.Popen([COMMAND, *arguments], stdout=output, stderr=output, env=_environment())
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace"))
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        server = ServerProcess(process, told["address"], log, told["admin"], tuple(told.get("front_ends", ())))
        below = server.descendants()
        yield server
    finally:
        if process.poll() is None:
            below = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for each in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        process.wait()


def _environment() -> dict[str, str]:
    """Ours, but for the variable of intently-build, which a server refuses as one that it does not know."""
    return {name: value for name, value in os.environ.items() if name != BUILD_ENVIRONMENT}


def run_to_the_end(*arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Runs the command with these arguments until it ends by itself."""
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join([process.name(), *process.cmdline()])
    except psutil.Error:
        return ""
