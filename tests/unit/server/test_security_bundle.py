"""A bundle's code is never run: what could hold code is refused, and vLLM would not run it either."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intently_server.bundle import Bundle, BundleError, load_bundle
from support.bundles import copy_bundle, edit_config, replace_file

REMOTE_CODE = """
from pathlib import Path
from transformers import {base}
Path({mark!r}).touch()
class Remote({base}):
    pass
"""

# Reads the checkpoint's configuration as the server has vLLM do it, then as somebody who trusts it would.
READ_BY_VLLM = """
import sys
from pathlib import Path
from vllm import AsyncEngineArgs
from intently_server.engine.vllm_config import VllmConfig
args = VllmConfig(Path(sys.argv[1]), 2, 512, kv_cache_gib=1.0).engine_args()
assert args["trust_remote_code"] is False and args["load_format"] == "safetensors"
try:
    AsyncEngineArgs(**args).create_engine_config()
except Exception as error:
    print("refused", type(error).__name__)
"""
READ_WITH_TRUST = """
import sys
from transformers import AutoConfig
AutoConfig.from_pretrained(sys.argv[1], trust_remote_code=True)
"""


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return copy_bundle(bundle_path, tmp_path / "bundle")


@pytest.mark.parametrize(
    "name",
    [
        "modeling.py",
        "code/modeling.PY",
        "native.so",
        "pytorch_model.bin",
        "1_Dense/pytorch_model.bin",
        "training_args.bin",
        "model.pt",
        "model.pth",
        "model.ckpt",
        "scaler.pkl",
        "scaler.joblib",
        "array.npy",
        "model.gguf",
    ],
)
def test_a_file_that_may_run_code_is_refused_though_the_manifest_lists_it(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    replace_file(copy, name, b"content")

    with pytest.raises(BundleError, match="may run code") as caught:
        load_bundle(copy)

    assert caught.value.file == name


def test_another_file_that_the_manifest_lists_is_not(copy: Path, bundle: Bundle) -> None:
    replace_file(copy, "notes.txt", b"content")

    assert load_bundle(copy).model.name == bundle.model.name


@pytest.mark.parametrize("auto_map", [{"AutoModel": "modeling.Remote"}, {}, "modeling.Remote", None])
def test_a_configuration_that_asks_for_code_is_refused(copy: Path, auto_map: object) -> None:
    edit_config(copy, auto_map=auto_map)

    with pytest.raises(BundleError, match="auto_map"):
        load_bundle(copy)


def run_python(script: str, checkpoint: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a script on a checkpoint; what transformers keeps of it goes into `home`."""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", script, str(checkpoint)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.engine
@pytest.mark.parametrize("architecture", [None, "RemoteForSequenceClassification"])
def test_vllm_does_not_run_a_checkpoint_s_code(copy: Path, tmp_path: Path, architecture: str | None) -> None:
    mark = tmp_path / "the code ran"
    for name, base in (("configuration", "Qwen2Config"), ("modeling", "Qwen2ForSequenceClassification")):
        (copy / f"{name}.py").write_text(REMOTE_CODE.format(base=base, mark=str(mark)))
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    edit_config(
        copy,
        architectures=[architecture] if architecture else config["architectures"],
        auto_map={"AutoConfig": "configuration.Remote", "AutoModel": "modeling.Remote"},
    )

    read = run_python(READ_BY_VLLM, copy, tmp_path / "home")
    assert read.returncode == 0, read.stderr
    assert not mark.exists()

    trusting = run_python(READ_WITH_TRUST, copy, tmp_path / "home")
    assert mark.exists(), trusting.stderr  # so the code is there, and would have told
