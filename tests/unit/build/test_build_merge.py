"""Merging: the result answers as base and adapter do, in the same bytes each time, and what does not fit is refused."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.import_utils import is_gptqmodel_available
from safetensors.torch import load_file, save_file

from intently_build.adapting.adapter import AdapterFiles
from intently_build.adapting.base_name import names_base
from intently_build.adapting.checkpoint import Checkpoint
from intently_build.adapting.matching import BASE
from intently_build.cli import main
from intently_build.rows import file_sha256
from intently_build.steps.step import RECORD, Record, read_record
from support.tiny_build import make_adapter, make_base

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="module")
def foreign(base: Path) -> Path:
    return make_adapter(base, base.with_name("adapter"))


@pytest.fixture
def adapter(foreign: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(foreign, tmp_path / "adapter"))


def merge(base: Path, adapter: Path, output: Path, *more: str) -> int:
    return main(["merge", "--base", str(base), "--adapter", str(adapter), "--output", str(output), *more])


def refused(base: Path, adapter: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the one line that says why; nothing lies at `output`."""
    assert merge(base, adapter, output) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert line.startswith("intently-build: ")
    assert not output.exists()
    assert not [path for path in output.parent.iterdir() if path.name.startswith(".")]
    return line


def test_the_merged_checkpoint_is_base_and_adapter_in_one(base: Path, foreign: Path, tmp_path: Path) -> None:
    output = tmp_path / "merged"
    assert merge(base, foreign, output) == 0
    record = read_record(output / RECORD)
    assert record is not None
    agreement = record.proof["agreement"]
    assert agreement["argmax_equal"] == agreement["prompts"] == 16
    assert 0 < agreement["largest_logit_difference"] < 0.1 * agreement["logit_standard_deviation"]
    merged, before, lora = (load_file(next(path.glob("*.safetensors"))) for path in (output, base, foreign))
    assert merged.keys() == before.keys()
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}
    name = "model.layers.0.self_attn.q_proj"
    a, b = (lora[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    wanted = before[f"{name}.weight"].float() + 8 / 4 * b @ a
    torch.testing.assert_close(merged[f"{name}.weight"].float(), wanted, atol=2e-3, rtol=1e-2)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (output / file).read_bytes() == (base / file).read_bytes()


def test_merging_twice_gives_the_same_bytes(base: Path, foreign: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "one", tmp_path / "two"]
    for output in outputs:
        assert merge(base, foreign, output) == 0
    one, two = ({path.name: path.read_bytes() for path in output.iterdir()} for output in outputs)
    del one[RECORD], two[RECORD]  # it says how long it took
    assert one == two


def test_what_was_merged_before_is_not_merged_again(base: Path, foreign: Path, tmp_path: Path) -> None:
    output = tmp_path / "merged"
    merge(base, foreign, output)
    before = (output / RECORD).stat().st_mtime_ns
    assert merge(base, foreign, output) == 0
    assert (output / RECORD).stat().st_mtime_ns == before


def test_another_folder_is_not_written_over_unasked(
    base: Path, foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert merge(base, foreign, tmp_path) == 2
    assert "exists, and was not merged by intently-build; give --replace" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("tied", [True, False])
def test_trained_code_tokens_are_merged(tmp_path: Path, tied: bool) -> None:
    base = make_base(tmp_path / "base", tied=tied, codes=3)
    tokens = {"embed_tokens" if tied else "lm_head": [284, 285, 286]}
    adapter = make_adapter(base, tmp_path / "adapter", trainable_token_indices=tokens)
    rows = load_file(adapter / WEIGHTS)
    name = next(name for name in rows if "trainable_tokens" in name)
    rows[name] += 1
    save_file(rows, adapter / WEIGHTS, metadata={"format": "pt"})
    assert merge(base, adapter, tmp_path / "merged") == 0
    matrix = "model.embed_tokens.weight" if tied else "lm_head.weight"
    merged, before = (load_file(folder / "model.safetensors")[matrix] for folder in (tmp_path / "merged", base))
    assert torch.equal(merged[284:287], rows[name].to(torch.bfloat16))
    assert torch.equal(merged[:284], before[:284])


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": r"^(model)(?!.*(lm_head|output|emb)).*(q_proj|gate_proj)$"},  # a pattern, as swift writes
        {"use_rslora": True},
        {"use_dora": True},
        {"lora_bias": True, "target_modules": ["q_proj", "v_proj"]},
        {"rank_pattern": {"q_proj": 2}},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["norm"]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_peft_can_do_to_a_linear_layer_is_merged(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = make_base(tmp_path / "base", tied=False)
    adapter = make_adapter(base, tmp_path / "adapter", **settings)
    assert merge(base, adapter, tmp_path / "merged") == 0
    record = read_record(tmp_path / "merged" / RECORD)
    assert record
    assert record.proof["agreement"]["argmax_equal"] == 16


def test_what_peft_cannot_merge_is_refused(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(match="merging LoRA weights won't be possible"):
        adapter = make_adapter(base, tmp_path / "adapter", lora_bias=True)
    line = refused(base, adapter, tmp_path / "merged", capsys)
    assert "cannot be merged: Impossible to merge LoRA with `lora_bias=True`" in line


def test_an_adapter_with_a_trained_head_makes_a_classifier(base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", labels=3)
    assert merge(base, adapter, tmp_path / "merged") == 0
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForSequenceClassification"]
    merged, lora = load_file(tmp_path / "merged" / "model.safetensors"), load_file(adapter / WEIGHTS)
    assert torch.equal(merged["score.weight"], lora["base_model.model.score.weight"].to(torch.bfloat16))


def truncate(adapter: Path) -> None:
    content = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(content[: len(content) // 2])


def change_tensor(adapter: Path, change: Callable[[torch.Tensor], torch.Tensor | None], side: str = "lora_B") -> None:
    tensors = load_file(adapter / WEIGHTS)
    name = min(name for name in tensors if side in name)
    changed = change(tensors.pop(name))
    if changed is not None:
        tensors[name] = changed.contiguous()
    save_file(tensors, adapter / WEIGHTS, metadata={"format": "pt"})


def change_config(adapter: Path, **changes: Any) -> None:
    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (truncate, f"{WEIGHTS}: not a whole safetensors file: .*; copy it anew"),
        (lambda adapter: (adapter / WEIGHTS).write_bytes(b""), f"{WEIGHTS}: not a whole safetensors file"),
        (lambda adapter: (adapter / WEIGHTS).unlink(), f"{WEIGHTS}: no such file"),
        (lambda adapter: (adapter / WEIGHTS).rename(adapter / "adapter_model.bin"), "is a pickle, which may run code"),
        (lambda adapter: (adapter / CONFIG).unlink(), f"{CONFIG}: cannot read it: .*is .* an adapter in peft's format"),
        (lambda adapter: (adapter / CONFIG).write_text('{"peft'), f"{CONFIG}: cannot read it"),
        (lambda adapter: change_config(adapter, peft_type="IA3"), "peft_type 'IA3'; only LORA can be merged"),
        (lambda adapter: change_config(adapter, r=8), "has rank 4 and 4, but r is 8"),
        (lambda adapter: change_config(adapter, target_modules=["q_proj", "v_proj", "o_proj"]), "nothing for .*o_proj"),
        (lambda adapter: change_config(adapter, task_type="SEQ_CLS"), "SEQ_CLS, but score.weight is missing"),
        (lambda adapter: change_tensor(adapter, lambda tensor: tensor * float("nan")), "values that are not finite"),
        (lambda adapter: change_tensor(adapter, lambda tensor: tensor / 0), "values that are not finite"),
        (lambda adapter: change_tensor(adapter, lambda tensor: tensor[:-1]), "made for another base: .* is 63 x 128"),
        (lambda adapter: change_tensor(adapter, lambda tensor: tensor[:, :2]), "has rank 4 and 2"),
        (lambda adapter: change_tensor(adapter, lambda _: None), "has lora_A alone; the adapter is not whole"),
    ],
)
def test_a_corrupted_adapter_is_refused_in_one_line(
    base: Path,
    adapter: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], object],
    says: str,
) -> None:
    harm(adapter)
    line = refused(base, adapter, tmp_path / "merged", capsys)
    assert re.search(says, line), line


def test_an_adapter_of_another_shape_is_refused(
    foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = make_base(tmp_path / "wider", hidden=128)
    line = refused(wider, foreign, tmp_path / "merged", capsys)
    assert "made for another base: model.layers.0.mlp.down_proj is 64 x 128 in it, and 128 x 128 in" in line
    deeper = make_base(tmp_path / "deeper", layers=2)
    assert "nothing for model.layers.1" in refused(deeper, foreign, tmp_path / "merged", capsys)
    narrow = make_adapter(deeper, tmp_path / "deep-adapter")
    shallow = make_base(tmp_path / "shallow")
    assert "has no model.layers.1" in refused(shallow, narrow, tmp_path / "merged", capsys)


def test_an_adapter_that_names_its_base_by_digest_is_held_to_it(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_base(tmp_path / "other", seed=7)  # the very same shapes
    (adapter / BASE).write_text(json.dumps({"weights": "0" * 64, "tokenizer": "0" * 64}))
    line = refused(other, adapter, tmp_path / "merged", capsys)
    assert "made for another base: the weights of" in line
    assert "it was trained on 000000000000" in line


def test_a_flipped_byte_in_an_adapter_with_a_record_is_found(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {name: file_sha256(adapter / name) for name in (WEIGHTS, CONFIG)}
    (adapter / RECORD).write_text(Record("adapt", {}, outputs).to_json())
    assert merge(base, adapter, tmp_path / "whole") == 0
    content = bytearray((adapter / WEIGHTS).read_bytes())
    content[-4] ^= 1  # the lowest bit of a number
    (adapter / WEIGHTS).write_bytes(content)
    line = refused(base, adapter, tmp_path / "merged", capsys)
    assert "the adapter is damaged, copy it anew" in line
    (adapter / WEIGHTS).unlink()
    assert f"{WEIGHTS}: no such file" in refused(base, adapter, tmp_path / "merged", capsys)


def test_an_adapter_that_names_another_base_is_refused_unless_it_is_said_to_be_the_same(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_config(adapter, base_model_name_or_path="someone/other-base")
    line = refused(base, adapter, tmp_path / "merged", capsys)
    assert "names its base someone/other-base, and" in line
    assert "merge --other-name, or adapter.other_name: true" in line
    assert merge(base, adapter, tmp_path / "merged", "--other-name") == 0
    assert "warning: the adapter names its base someone/other-base" in capsys.readouterr().out
    assert merge(base, adapter, tmp_path / "merged") == 2  # what was said then is not said now


COMMIT = "0123456789abcdef" * 2 + "01234567"
CACHED = f"models--Qwen--Qwen2.5-7B-Instruct/snapshots/{COMMIT}"


@pytest.mark.parametrize(
    ("said", "folder", "same"),
    [
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": "/models/qwen2.5-7b-instruct/"}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": r"C:\models\Qwen2.5-7B-Instruct"}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": "/hub/Qwen/Qwen2___5-7B-Instruct"}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}, CACHED, True),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "revision": COMMIT}, CACHED, True),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "revision": "main"}, CACHED, True),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "revision": "a" * 40}, CACHED, False),
        ({"base_model_name_or_path": f"/cache/{CACHED}"}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": None}, "Qwen2.5-7B-Instruct", True),
        ({}, "Qwen2.5-7B-Instruct", True),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B"}, "Qwen2.5-7B-Instruct", False),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}, "Qwen2.5-7B", False),
    ],
)
def test_a_base_is_known_by_the_last_part_of_its_name(
    tmp_path: Path, said: dict[str, Any], folder: str, same: bool
) -> None:
    adapter = AdapterFiles(tmp_path / "adapter", said, {})
    assert names_base(adapter, Checkpoint(tmp_path / folder, {}, {})) is same


def test_a_base_is_known_by_what_its_config_calls_it(tmp_path: Path) -> None:
    adapter = AdapterFiles(tmp_path / "adapter", {"base_model_name_or_path": "/theirs/qwen"}, {})
    assert names_base(adapter, Checkpoint(tmp_path / "base", {"_name_or_path": "some/Qwen"}, {}))


@pytest.mark.parametrize("value", [1e30, 1e4])
def test_a_finite_number_that_no_training_gives_is_refused_with_its_tensor(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        tensor[0, 0] = value
        return tensor

    change_tensor(adapter, spoil)
    line = refused(base, adapter, tmp_path / "merged", capsys)
    assert "changes a row of model.layers.0.mlp.down_proj.weight by" in line
    assert "it is damaged, copy it anew" in line


def test_an_adapter_with_another_tokenizer_is_refused(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((base / "tokenizer.json").read_text())
    (adapter / "tokenizer.json").write_text(json.dumps(content, indent=1))
    assert merge(base, adapter, tmp_path / "same") == 0  # written otherwise, and the same
    content["model"]["merges"].reverse()
    (adapter / "tokenizer.json").write_text(json.dumps(content))
    assert "another tokenizer than" in refused(base, adapter, tmp_path / "merged", capsys)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", None, "config.json: cannot read it"),
        ("config.json", '{"model_type": "llama"}', "a model of type 'llama'; only 'qwen2'"),
        ("config.json", '{"model_type": "qwen2", "quantization_config": {}}', "is quantized"),
        ("model.safetensors", None, "no *.safetensors there"),
        ("model.safetensors", "cut short", "model.safetensors: not a whole safetensors file"),
        ("tokenizer.json", None, "tokenizer.json: no such file"),
    ],
)
def test_a_damaged_base_is_refused(
    base: Path,
    foreign: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: str | None,
    says: str,
) -> None:
    harmed = Path(shutil.copytree(base, tmp_path / "base"))
    (harmed / file).unlink()
    if content is not None:
        (harmed / file).write_text(content)
    assert says in refused(harmed, foreign, tmp_path / "merged", capsys)


def test_a_base_with_numbers_that_are_not_finite_is_refused(
    base: Path, foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmed = Path(shutil.copytree(base, tmp_path / base.name))
    tensors = load_file(harmed / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.weight"][0, 0] = float("nan")
    save_file(tensors, harmed / "model.safetensors", metadata={"format": "pt"})
    assert "NaNs detected" in refused(harmed, foreign, tmp_path / "merged", capsys)


@pytest.fixture
def gptqmodel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """gptqmodel as the build environment has it, without optimum; peft has not looked for it yet."""
    package = tmp_path / "site" / "gptqmodel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    about = package.with_name("gptqmodel-7.6.0.dist-info")
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gptqmodel\nVersion: 7.6.0\n")
    monkeypatch.syspath_prepend(package.parent)
    is_gptqmodel_available.cache_clear()
    yield
    is_gptqmodel_available.cache_clear()


@pytest.mark.usefixtures("gptqmodel")
def test_merging_works_beside_gptqmodel(base: Path, foreign: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="gptqmodel requires optimum"):
        is_gptqmodel_available()  # what peft asks for each layer
    assert merge(base, foreign, tmp_path / "merged") == 0
    assert "gptqmodel" not in sys.modules
    assert find_spec("gptqmodel") is not None
