"""The server on a GPU, as a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

START_S = 300.0

Server = tuple[subprocess.Popen[bytes], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests of this folder where there is no GPU."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU and the CUDA build of vLLM"))


@pytest.fixture
def start_server(bundle_path: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers; returns process and address once SERVING. What still runs at the end is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*flags: str) -> Server:
        ready = tmp_path / f"ready-{len(running)}"
        command = [
            sys.executable,
            "-m",
            "intently_server.main",
            "--bundle",
            str(bundle_path),
            "--ready-file",
            str(ready),
        ]
        process = subprocess.Popen([*command, "--address", "127.0.0.1:0", *flags])
        running.append(process)
        give_up = time.monotonic() + START_S
        while not ready.exists():
            assert process.poll() is None, f"the server ended with exit code {process.returncode}"
            assert time.monotonic() < give_up, f"the server was not SERVING within {START_S:g} s"
            time.sleep(0.2)
        return process, json.loads(ready.read_text(encoding="utf-8"))["address"]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
