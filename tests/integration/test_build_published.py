"""A causal checkpoint of others becomes a bundle as it is, quantized or not; labels are tokens of the prompt."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import manifest_layout, read_manifest
from intently_build.cli import main
from intently_build.prompt import PromptEncoder
from intently_build.recipe import load_recipe
from intently_build.reference import load_classifier
from support.tiny_build import make_base, make_recipe

CODES = ["t", "w", "b"]
INT8 = {
    "quant_method": "compressed-tensors",
    "config_groups": {
        "group_0": {
            "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True},
            "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True},
        }
    },
}


def published(folder: Path, **sections: Any) -> Path:
    return make_recipe(folder / "recipe", published={"checkpoint": "../base", "code_tokens": CODES}, **sections)


def run(recipe: Path, *more: str) -> tuple[int, Path]:
    folder = recipe.parents[1] / "run"
    return main(["run", str(recipe), "--output", str(folder), "--device", "cpu", *more]), folder


def quantize(base: Path) -> None:
    """Stores the decoder's Linear layers in eight bits, as compressed-tensors does."""
    tensors = load_file(base / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        weight = tensors.pop(name).float()
        scale = weight.abs().amax(dim=1, keepdim=True) / 127
        tensors[name] = (weight / scale).round().to(torch.int8)
        tensors[f"{name}_scale"] = scale.to(torch.bfloat16)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": INT8}))


def shard(base: Path) -> None:
    model = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="60KB")
    assert len(list(base.glob("*.safetensors"))) > 1


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("sharded", [True, False])
def test_the_classifier_answers_with_the_heads_rows(tmp_path: Path, tied: bool, sharded: bool) -> None:
    base = make_base(tmp_path / "base", tied=tied)
    causal = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if sharded:
        shard(base)
    recipe = published(tmp_path)
    code, folder = run(recipe)
    assert code == 0
    manifest = read_manifest(folder / "bundle")
    assert manifest.head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS
    assert manifest.quantization.method == "none"
    assert manifest.origin.parameters == sum(weight.numel() for weight in causal.parameters())
    encoder = PromptEncoder(folder / "bundle" / "tokenizer.json", manifest_layout(manifest.prompt))
    ids = torch.tensor([encoder.encode("set a timer")])
    with torch.inference_mode():
        wanted = causal(input_ids=ids).logits[0, -1, list(manifest.head.code_token_ids)]
        got = load_classifier(folder / "bundle")(input_ids=ids).logits[0]
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    stored = {name for path in (folder / "bundle").glob("*.safetensors") for name in load_file(path)}
    assert "score.weight" in stored
    assert "lm_head.weight" not in stored


def test_quantized_weights_stay_as_they_were_published(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", tied=False)
    quantize(base)
    code, folder = run(published(tmp_path))
    assert code == 0
    manifest = read_manifest(folder / "bundle")
    assert (manifest.quantization.method, manifest.quantization.bits) == ("int8", 8)
    before, after = (load_file(path / "model.safetensors") for path in (base, folder / "bundle"))
    rows = after.pop("score.weight")
    assert torch.equal(rows, before.pop("lm_head.weight")[list(manifest.head.code_token_ids)])
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_what_is_quantized_is_not_quantized_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quantize(make_base(tmp_path / "base"))
    assert run(published(tmp_path, quantize={"to": "int8"}))[0] == 2
    assert "is quantized already; leave the section out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"desc_act": True}, "GPTQ with desc_act, which vLLM 0.32 serves no more"),
        ({"checkpoint_format": "gptq_v2"}, "GPTQ in the format 'gptq_v2'"),
    ],
)
def test_gptq_that_is_not_served_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], says: str
) -> None:
    base = make_base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    said = {"quant_method": "gptq", "bits": 4, "group_size": 32} | more
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    assert run(published(tmp_path))[0] == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (["t", "w"], "code_tokens: 2 tokens for 3 labels, out of scope counted"),
        (["t", "w", "nosuchtoken"], "has no token 'nosuchtoken', which is to stand for a label"),
        (["t", "w", "t"], "code_tokens: a token stands for two labels"),
    ],
)
def test_code_tokens_that_do_not_fit_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], codes: list[str], says: str
) -> None:
    make_base(tmp_path / "base")
    recipe = make_recipe(tmp_path / "recipe", published={"checkpoint": "../base", "code_tokens": codes})
    assert run(recipe)[0] == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_a_checkpoint_that_is_no_causal_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = make_base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen2ForSequenceClassification"]}))
    recipe = published(tmp_path)
    assert load_recipe(recipe)[0].name == "tiny"
    assert run(recipe)[0] == 2
    assert "a head can be cut out of Qwen2ForCausalLM only" in capsys.readouterr().err
