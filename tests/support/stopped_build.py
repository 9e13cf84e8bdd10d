"""Runs `intently-build` in a process of its own, stopped at an exact point: by a signal or a full disk."""

import contextlib
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

Stop = Literal["kill", "interrupt", "terminate", "full disk"]
SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}


@dataclass(frozen=True)
class Point:
    """Where to stop: at an audit event of the interpreter whose first argument ends with `path`.

    Attributes:
      event: such as "open" or "os.rename", raised just before the thing is done.
      path: the end of the path that it is done to.
      how: what happens then.
    """

    event: str
    path: str
    how: Stop


@dataclass(frozen=True)
class Ended:
    """How the process ended.

    Attributes:
      code: its exit code; minus the number of the signal that killed it.
      output, error: what it wrote; of what it printed last, a kill may have lost some.
    """

    code: int
    output: str = ""
    error: str = ""


class Builder:
    """A process with all imports behind it, which runs each command line in a fork of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "support.stopped_build"]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, arguments: Sequence[str], point: Point | None = None, **environment: str) -> Ended:
        """Runs the command line with more in its environment, up to `point` if there is one. Returns how it ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([list(arguments), point and asdict(point), environment]) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def serve() -> None:
    """Reads command lines, and says how each ended, until there are no more."""
    importlib.import_module("intently_build.running")
    importlib.import_module("peft")
    for line in sys.stdin:
        arguments, point, environment = json.loads(line)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
            child = os.fork()
            if child == 0:
                os.environ.update(environment)
                _run(arguments, point and Point(**point), output, error)
            _, status = os.waitpid(child, 0)
            said = {"output": _read(output), "error": _read(error)}
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), **said}), flush=True)  # noqa: T201


def _run(arguments: list[str], point: Point | None, output: IO[str], error: IO[str]) -> NoReturn:
    from intently_build.cli import main

    if point:
        _stop_at(point)
    code = 1
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
            code = main(arguments)
    except BaseException:
        traceback.print_exc(file=error)
    finally:
        output.flush()
        error.flush()
        os._exit(code)


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _stop_at(point: Point) -> None:
    met: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if met or event != point.event or not str(arguments[0]).endswith(point.path):
            return
        met.append(event)
        if point.how == "full disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), SIGNALS[point.how])

    sys.addaudithook(hook)


if __name__ == "__main__":
    serve()
