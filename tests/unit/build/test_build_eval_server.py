"""A server that is started for a measurement: what can be seen to fail is said before it starts."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.errors import BuildError
from intently_build.evaluation.server_process import ServerProblem, ServerSettings, run_server, serve
from support.paths import BUNDLE


def test_a_missing_plugin_is_named_with_what_installs_it(tmp_path: Path) -> None:
    manifest = read_manifest(BUNDLE)
    manifest.quantization.method = "bitsandbytes"
    write_manifest(tmp_path, manifest)
    with (
        pytest.raises(BuildError, match=r"pip install --no-deps vllm-bnb-plugin==0\.0\.3"),
        serve(tmp_path, ServerSettings("auto", 1.0, 1.0)),
    ):
        pass


SHORT_LIVED = """
import json, pathlib, sys
flags = dict(flag.split("=", 1) for flag in sys.argv[1:])
pathlib.Path(flags["--ready-file"]).write_text(json.dumps({"address": "127.0.0.1:1", "pid": 1}))
sys.exit("no memory left")
"""


@pytest.mark.parametrize("fault", [None, ValueError("nobody answers")])
def test_a_server_that_ends_while_it_is_measured_is_told_whatever_came_of_it(fault: Exception | None) -> None:
    with pytest.raises(ServerProblem, match="ended with exit code 1 while it was measured: no memory left") as caught:
        _serve_and_fail(fault)
    assert caught.value.__cause__ is fault


def _serve_and_fail(fault: Exception | None) -> None:
    with run_server([sys.executable, "-c", SHORT_LIVED], BUNDLE, [], 30.0) as server:
        while psutil.Process(server.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        if fault:
            raise fault


TALKATIVE = """
import json, pathlib, sys, time
flags = dict(flag.split("=", 1) for flag in sys.argv[1:])
for rank in range(2):
    where = f"(EngineCore pid=7) INFO 11-22 07:00:0{rank} [core.py:12]"
    print(where, "Using MacheteLinearKernel for CompressedTensorsWNA16", flush=True)
    print(where, "Selected CutlassInt8ScaledMMLinearKernel for CompressedTensorsW8A8Int8, and more", flush=True)
    print(where, "Using AsyncScheduler", flush=True)
pathlib.Path(flags["--ready-file"]).write_text(json.dumps({"address": "127.0.0.1:1", "pid": 1}))
time.sleep(60)
"""


def test_the_kernels_that_a_server_names_are_kept() -> None:
    with run_server([sys.executable, "-c", TALKATIVE], BUNDLE, [], 30.0) as server:
        assert server.kernels == (
            "Using MacheteLinearKernel for CompressedTensorsWNA16",
            "Selected CutlassInt8ScaledMMLinearKernel for CompressedTensorsW8A8Int8",
        )
