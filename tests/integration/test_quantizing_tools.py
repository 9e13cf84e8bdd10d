"""The real tools in .venv-build: each format comes out whole, answers as its source does, and the same again."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from intently_build.bundles.manifest import manifest_layout, read_manifest
from intently_build.calibration import probabilities
from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.prompt import PromptEncoder
from intently_build.quantizing.environment import here
from intently_build.quantizing.formats import FORMATS
from intently_build.quantizing.manifest import stored_as
from intently_build.reference import load_classifier, prompt_logits
from intently_build.rows import file_sha256
from support.paths import BUNDLE, CLINC150
from support.tiny_build import make_base

TEXTS = (
    "what is the weather in paris",
    "set a timer for ten minutes",
    "freeze my account",
    "how do i say hello in french",
)
LARGEST_SHIFT = 0.1  # of a probability; 4 bits on so small a model move one by 0.07


def tools_are_here() -> bool:
    """Whether there is an environment with the tools."""
    try:
        return all(here().python_with(form.tool).exists() for form in FORMATS.values())
    except BuildError:
        return False


pytestmark = [
    pytest.mark.quantizing,
    pytest.mark.skipif(not tools_are_here(), reason="the quantizing tools are not installed: make build-env"),
]


def quantize(form: str, output: Path) -> Path:
    arguments = ["quantize", str(BUNDLE), "--to", form, "--output", str(output), "--group-size", "64"]
    rows = ["--calibration", str(CLINC150 / "train.jsonl"), "--test", str(CLINC150 / "test.jsonl")]
    assert main([*arguments, *rows, "--leave-out-test", "--samples", "4"]) == 0
    return output


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of the bundle under test in some format, made when first asked for."""
    parent = tmp_path_factory.mktemp("quantized")
    return cache(lambda form: quantize(form, parent / form / "new"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_bundle_quantizes_and_answers_as_before(form: str, quantized: Callable[[str], Path]) -> None:
    folder = quantized(form)
    assert {path.name for path in folder.parent.iterdir()} == {"new"}
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o644"}
    assert stored_as(folder).method == FORMATS[form].method
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    encoder = PromptEncoder(BUNDLE / "tokenizer.json", manifest_layout(read_manifest(BUNDLE).prompt))
    before, after = load_classifier(BUNDLE), load_classifier(folder)
    for text in TEXTS:
        ids = encoder.encode(text)
        expected, found = (probabilities(prompt_logits(model, ids), 1.0) for model in (before, after))
        assert np.argmax(found) == np.argmax(expected)
        assert np.abs(found - expected).max() < LARGEST_SHIFT


@pytest.mark.parametrize("form", ["gptq-int4", "autogptq-int4"])
def test_the_same_rows_give_the_same_bytes(
    form: str, quantized: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quantized(form)
    monkeypatch.chdir(tmp_path)
    second = quantize(form, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # nothing in the working folder either
    names = {path.name for path in first.iterdir()}
    assert names == {path.name for path in second.iterdir()}
    assert {name for name in names if file_sha256(first / name) != file_sha256(second / name)} == set()


def test_what_lies_there_already_is_not_made_again(
    quantized: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = quantized("bnb-int8")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    quantize("bnb-int8", folder)
    assert "lies there already" in capsys.readouterr().out
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_prompts_of_a_few_tokens_are_looked_at_too(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    rows = tmp_path / "short.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("hi", "no", "yes", "a b")))
    arguments = ["--to", "autogptq-int4", "--group-size", "32", "--calibration", str(rows), "--samples", "4"]
    assert main(["quantize", str(base), *arguments, "--output", str(tmp_path / "new")]) == 0
    assert stored_as(tmp_path / "new").bits == 4
