"""Before a GGUF is written: what llama.cpp would compute or read in another way is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest

from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import GGUF_TYPES, find_type
from intently_build.gguf_export.preflight import check_blocks, check_disk, check_model
from intently_build.gguf_export.vocabulary import read_vocabulary
from intently_build.quantizing.checkpoint import Checkpoint, Tensor, read_checkpoint
from support.paths import BUNDLE, ROOT

LABELS = 151
Q4_K_M = find_type("Q4_K_M")


@pytest.fixture(scope="module")
def source() -> Checkpoint:
    return read_checkpoint(BUNDLE)


def changed(source: Checkpoint, **config: Any) -> Checkpoint:
    return Checkpoint(source.folder, dict(source.config) | config, source.tensors)


def test_a_bundle_can_be_exported(source: Checkpoint) -> None:
    check_model(source, LABELS)
    check_blocks(source, find_type("q8_0"))


def test_blocks_that_do_not_divide_name_matrix_and_remedy(source: Checkpoint) -> None:
    with pytest.raises(BuildError) as caught:
        check_blocks(source, Q4_K_M)
    assert str(caught.value) == (
        "model.embed_tokens.weight: rows of 320 values cannot be divided into the blocks of 256 that q4_k_m has; "
        "take --gguf-type q8_0"
    )


def test_the_remedy_is_one_that_helps(tmp_path: Path) -> None:
    odd = Checkpoint(tmp_path, {}, {"model.layers.0.mlp.up_proj.weight": Tensor("BF16", (64, 40), tmp_path)})
    with pytest.raises(BuildError, match="take --gguf-type f16"):
        check_blocks(odd, find_type("q8_0"))
    check_blocks(odd, find_type("f16"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "llama"}, "a model of type 'llama'; only 'qwen2' can be exported"),
        ({"quantization_config": {}}, "quantized already"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type 'yarn'; only the default one"),
        ({"rope_parameters": None, "rope_scaling": {"rope_type": "yarn"}}, "rope_type 'yarn'; only the default one"),
        ({"use_sliding_window": True}, "has a sliding window"),
        ({"head_dim": 128}, "head_dim 128, not hidden_size / heads; llama.cpp wants 64"),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused(source: Checkpoint, config: dict[str, Any], says: str) -> None:
    with pytest.raises(BuildError, match=says):
        check_model(changed(source, **config), LABELS)


def test_another_label_set_is_refused(source: Checkpoint) -> None:
    with pytest.raises(BuildError, match="its head has 151 rows, the label set 77 labels"):
        check_model(source, 77)


def test_too_little_disk_is_said_before_the_work(tmp_path: Path) -> None:
    huge = {"model.embed_tokens.weight": Tensor("BF16", (1_000_000, 1_000_000_000), tmp_path)}
    with pytest.raises(BuildError, match=r"new: needs [\d,]+ MB on that disk, [\d,]+ MB are free"):
        check_disk(Checkpoint(tmp_path, {}, huge), Q4_K_M, tmp_path / "new")


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    assert {find_type(name.upper()).name for name in GGUF_TYPES} == {"f16", "q8_0", "q4_k_m"}
    with pytest.raises(BuildError, match="--gguf-type q2_k: there are f16, q8_0, q4_k_m"):
        find_type("q2_k")


@pytest.fixture
def tokenizer(tmp_path: Path) -> dict[str, Any]:
    content = json.loads((BUNDLE / "tokenizer.json").read_text())
    assert isinstance(content, dict)
    return content


def read(folder: Path, tokenizer: dict[str, Any], **config: Any) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    read_vocabulary(folder, {"vocab_size": 3228, "eos_token_id": 3072} | config, ())


def test_text_split_in_another_way_is_refused(tokenizer: dict[str, Any], tmp_path: Path) -> None:
    read(tmp_path, tokenizer)
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+"
    with pytest.raises(BuildError, match="splits text in another way than Qwen2's tokenizer"):
        read(tmp_path, tokenizer)
    tokenizer["pre_tokenizer"] = None
    with pytest.raises(BuildError, match="splits text in another way than Qwen2's tokenizer"):
        read(tmp_path, tokenizer)


def test_another_kind_of_tokenizer_is_refused(tokenizer: dict[str, Any], tmp_path: Path) -> None:
    tokenizer["model"]["type"] = "Unigram"
    with pytest.raises(BuildError, match="no plain byte-level BPE"):
        read(tmp_path, tokenizer)


def test_tokens_without_embeddings_are_refused(tokenizer: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="tokens up to 3227, and the model has rows for 3000"):
        read(tmp_path, tokenizer, vocab_size=3000)


def test_without_a_token_that_ends_a_text_it_is_refused(tokenizer: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="names the token that ends a text"):
        read(tmp_path, tokenizer, eos_token_id=None)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    read(tmp_path, tokenizer, eos_token_id=None)


def test_embeddings_without_a_token_are_filled_up(tokenizer: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    found = read_vocabulary(tmp_path, {"vocab_size": 3230, "eos_token_id": [3072, 3074]}, (3077,))
    assert (found.tokens[3228:], found.kinds[3227:], found.end) == (
        ("[PAD3228]", "[PAD3229]"),
        ("CONTROL", "UNUSED", "UNUSED"),
        3072,
    )
    assert found.kinds[3077] == "USER_DEFINED"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "gguf", "--calibration", "rows.jsonl"], "leave --calibration and --test out"),
        (["--to", "gguf", "--proof-rows", "-1"], "--proof-rows -1: must not be negative"),
        (["--to", "fp8", "--gguf-type", "f16"], "belong to --to gguf, not to --to fp8"),
        (["--to", "gguf", "--gguf-type", "Q4_K_M"], "take --gguf-type q8_0"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", str(BUNDLE), *arguments, "--output", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_line_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTENTLY_BUILD_ENV", str(tmp_path / "env"))
    assert main(["quantize", str(BUNDLE), "--to", "gguf", "--output", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "is neither installed here nor in" in line
    assert "make build-env" in line
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_without_a_recipe_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(ROOT), "--to", "gguf", "--output", str(tmp_path / "new")]) == 2
    assert "no bundle; give the --recipe that says its prompt and labels" in capsys.readouterr().err
