"""A synthetic bundle: whole, as the tools lay it out, with the prompt that was asked for, and nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tokenizers import Tokenizer

from intently_build.bundles.facts import bundle_facts
from intently_build.bundles.manifest import read_manifest
from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.dequantizing import dequantize
from intently_build.quantizing.artifact import check_artifact
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.formats import FORMATS
from intently_build.synth.checkpoint import RandomModel, write_checkpoint
from intently_build.synth.synth import TOY, write_tokenizer
from intently_server.bundle import load_bundle
from support.paths import BUNDLE

LABELS = 5
LARGEST_ERROR = {"fp8": 0.04, "int8": 0.02, "gptq-int4": 0.15, "awq": 0.15}  # of the weights, relative


def synth(folder: Path, *flags: str) -> int:
    return main(
        ["synth", "--shape", "toy", "--labels", str(LABELS), "--device", "cpu", "--output", str(folder), *flags]
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "bf16"
    assert synth(folder, "--prefix-tokens", "77") == 0
    return folder


def test_the_server_and_verify_accept_it(plain: Path) -> None:
    assert verify(plain, golden=True) == []
    bundle = load_bundle(plain)
    assert bundle.encoder.prefix_tokens == 77
    assert bundle.model.labels == LABELS
    assert bundle.manifest.origin.base_model.startswith("synthetic: random weights of the shape toy")


def test_its_answers_are_neither_flat_nor_all_the_same(plain: Path) -> None:
    answers = np.array([golden.probabilities for golden in read_manifest(plain).golden_vectors])
    assert answers.max() > 1.2 / LABELS
    assert len(set(answers.argmax(axis=1))) > 1 or np.abs(answers[0] - answers[1]).max() > 1e-3


@pytest.mark.parametrize("form", LARGEST_ERROR)
def test_a_format_is_laid_out_as_its_tool_does_and_stands_for_the_same_weights(
    form: str, plain: Path, tmp_path: Path
) -> None:
    folder = tmp_path / form
    assert synth(folder, "--quant", form, "--prefix-tokens", "77") == 0
    assert verify(folder, golden=True) == []
    check_artifact(folder, read_checkpoint(plain), FORMATS[form], 128)
    assert read_manifest(folder).quantization.method == FORMATS[form].method
    rounded, meant = dequantize(folder), dequantize(plain)
    for name in read_checkpoint(plain).linears:
        weight = meant[f"{name}.weight"]
        error = (rounded[f"{name}.weight"] - weight).norm() / weight.norm()
        assert error < LARGEST_ERROR[form], name


@pytest.mark.parametrize("wanted", [0, 1, 600])
def test_the_prefix_has_the_tokens_that_were_asked_for(wanted: int, tmp_path: Path) -> None:
    folder, given = tmp_path / "bundle", tmp_path / "tokenizer"
    write_tokenizer(given, codes=7)
    assert synth(folder, "--tokenizer", str(given), "--prefix-tokens", str(wanted), "--layers", "1") == 0
    prefix = read_manifest(folder).prompt.prefix
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.token_to_id("<|code_006|>") is not None
    assert len(tokenizer.encode(prefix, add_special_tokens=False).ids) == wanted
    assert bundle_facts(folder, read_manifest(folder)).prompt.limit == wanted + 1024


def test_the_same_seed_gives_the_same_weights(plain: Path, tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {file.path: file.sha256 for file in read_manifest(folder).files}

    again, other = tmp_path / "again", tmp_path / "other"
    assert synth(again, "--prefix-tokens", "77") == 0
    assert synth(other, "--prefix-tokens", "77", "--seed", "1") == 0
    assert digests(again) == digests(plain)
    assert digests(other)["model.safetensors"] != digests(plain)["model.safetensors"]


def test_a_checkpoint_in_several_files_is_whole(tmp_path: Path) -> None:
    folder, tokenizer = tmp_path / "causal", tmp_path / "tokenizer"
    folder.mkdir()
    write_tokenizer(tokenizer, codes=3)
    model = RandomModel(TOY, (), "bf16", 128, 0, torch.device("cpu"), shard_bytes=1_000_000)
    assert write_checkpoint(model, tokenizer, folder, Console(quiet=True)) == model.bytes
    found = read_checkpoint(folder)
    assert found.tensors["lm_head.weight"].shape == (TOY.vocabulary, TOY.hidden)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: tensor.file.name for name, tensor in found.tensors.items()}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--shape", "8b"), "--shape 8b: not known"),
        (("--layers", "3"), "--layers 3: must be from 1 to 2"),
        (("--labels", "1"), "--labels 1: must be at least 2"),
        (("--quant", "awq", "--group-size", "48"), "--group-size 48: must be one of"),
        (("--prefix-tokens", "-1"), "--prefix-tokens -1: must be at least 0"),
        (("--max-tokens", "700"), "--max-tokens 700: must leave room"),
        (("--tokenizer", "/nowhere"), "/nowhere/tokenizer.json: no such file"),
        (("--tokenizer", str(BUNDLE)), "tokens are more than the 2,048 of toy"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    flags: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth(tmp_path / "bundle", *flags) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert not any(tmp_path.iterdir())
