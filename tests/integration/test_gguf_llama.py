"""The real llama.cpp: what was exported answers as its source does, from the text that Ollama would give it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.gguf_export.classification import read_classification
from intently_build.gguf_export.export import Request, export
from intently_build.gguf_export.gguf_type import find_type
from intently_build.quantizing.environment import here
from support.paths import BUNDLE
from support.tiny_build import make_base, make_recipe

ROWS = 24
LONGEST = 60.0  # seconds
RECIPE = BUNDLE.parents[1] / "recipes" / "mini-clinc150.yaml"
DIVISIBLE = {"hidden_size": 512, "intermediate_size": 768, "num_attention_heads": 8}


def llama_cpp_is_here() -> bool:
    """Whether there is an environment that writes GGUF and runs it."""
    try:
        return here().python_with("gguf", "llama_cpp").exists()
    except BuildError:
        return False


pytestmark = [
    pytest.mark.quantizing,
    pytest.mark.skipif(not llama_cpp_is_here(), reason="llama-cpp-python is not in the build environment"),
]


def widened(folder: Path) -> Path:
    """Writes the bundle's classifier with sizes that blocks of 256 divide, filled up with zeros. Returns `folder`.

    It computes the same: a mean over more values, all zero, makes the norms larger, and their weights make up for it.
    """
    wide = DIVISIBLE["hidden_size"]
    sizes = {320: wide, 704: DIVISIBLE["intermediate_size"]}
    folder.mkdir()
    tensors = {}
    for name, tensor in load_file(BUNDLE / "model.safetensors").items():
        values = tensor.float() * ((320 / wide) ** 0.5 if "norm" in name else 1.0)
        tensors[name] = torch.zeros([sizes.get(size, size) for size in values.shape])
        tensors[name][tuple(slice(size) for size in values.shape)] = values
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((BUNDLE / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | DIVISIBLE | {"dtype": "float32"}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(BUNDLE / name, folder / name)
    return folder


def exported(checkpoint: Path, output: Path, kind: str, *arguments: str) -> dict[str, Any]:
    """Exports by the command line, and returns the record."""
    given = ["quantize", str(checkpoint), "--to", "gguf", "--gguf-type", kind, "--output", str(output)]
    assert main([*given, "--proof-rows", str(ROWS), *arguments]) == 0
    record = json.loads((output / "export.json").read_text())
    assert isinstance(record, dict)
    return record


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_a_bundle_answers_as_before(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new"
    proof = exported(BUNDLE, output, kind)["proof"]
    assert (proof["rows"], proof["same_tokens"], proof["same_answers"]) == (ROWS, ROWS, ROWS)
    assert proof["largest_probability_difference"] < 0.05
    weights = f"mini-clinc150-{kind}.gguf"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert {path.name for path in output.iterdir()} == {weights, "Modelfile", "labels.json", "export.json"}
    assert (output / "Modelfile").read_text().startswith(f"FROM ./{weights}\n")
    labels = json.loads((output / "labels.json").read_text())
    assert (labels["<|code_000|>"], len(labels)) == ("accept_reservations", 151)
    assert f"llama.cpp answers {ROWS} of {ROWS} validation rows as the reference does" in capsys.readouterr().out
    exported(BUNDLE, output, kind)
    assert "lies there already" in capsys.readouterr().out
    (output / weights).write_bytes((output / weights).read_bytes()[:-1])
    assert main(["quantize", str(BUNDLE), "--to", "gguf", "--gguf-type", kind, "--output", str(output)]) == 2
    assert "new: exists; give --replace to write it anew" in capsys.readouterr().err


def test_four_bits_answer_nearly_as_before(tmp_path: Path) -> None:
    checkpoint = widened(tmp_path / "wide")
    record = exported(checkpoint, tmp_path / "new", "Q4_K_M", "--recipe", str(RECIPE))
    assert record["proof"]["same_answers"] >= 0.95 * ROWS
    assert record["tools"].keys() == {"gguf", "llama-cpp-python"}
    assert record["bytes"] < 0.3 * (checkpoint / "model.safetensors").stat().st_size


def test_a_causal_model_answers_as_restricted_to_its_code_tokens(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", layers=2, tied=False, codes=3)
    recipe = make_recipe(tmp_path / "recipe", adapter={"base": "../base", "folder": "none"})
    proof = exported(base, tmp_path / "new", "f16", "--recipe", str(recipe))["proof"]
    assert proof["same_tokens"] == proof["same_answers"] == proof["rows"] == 18


def test_too_little_agreement_leaves_nothing(tmp_path: Path) -> None:
    stored = replace(find_type("f16"), least_agreement=1.01)
    task = read_classification(BUNDLE, None, 4)
    with pytest.raises(BuildError, match=r"llama\.cpp answers 4 of 4 validation rows .* 101% must agree"):
        export(Request(BUNDLE, stored, task, tmp_path / "new"), Console(quiet=True))
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "intently_build.cli", "quantize", str(BUNDLE), "--to", "gguf"]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "new")], env=os.environ, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + LONGEST
    while not (tmp_path / ".new.partial" / "scratch" / "job.json").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert said == "intently-build: stopped; run it again to go on\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"new.gguf.log"}
