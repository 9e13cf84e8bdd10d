"""The artifact check takes what each tool writes, and names what is wrong with anything else."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from intently_build.errors import BuildError
from intently_build.quantizing.artifact import Artifact, check_artifact
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.formats import FORMATS
from unit.build.toy_checkpoint import GROUP, SHAPES, write_quantized, write_toy

LAYER = "model.layers.1.mlp.down_proj"


def check(tmp_path: Path, form: str) -> Artifact:
    return check_artifact(tmp_path / "new", read_checkpoint(tmp_path / "toy"), FORMATS[form], GROUP)


def write(tmp_path: Path, form: str) -> None:
    write_quantized(tmp_path / "new", write_toy(tmp_path / "toy"), form)


def change(tmp_path: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = tmp_path / "new" / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path)


def configure(tmp_path: Path, **changes: object) -> None:
    path = tmp_path / "new" / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] |= changes
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_one_passes(tmp_path: Path, form: str) -> None:
    write(tmp_path, form)
    found = check(tmp_path, form)
    assert found.linears == 2 * len(SHAPES)
    assert found.size < found.size_before


@pytest.mark.parametrize("form", FORMATS)
def test_a_layer_left_as_it_was_is_found(tmp_path: Path, form: str) -> None:
    write(tmp_path, form)

    def unquantize(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(LAYER)]:
            del tensors[name]
        tensors[f"{LAYER}.weight"] = torch.zeros(64, 128, dtype=torch.bfloat16)

    change(tmp_path, unquantize)
    with pytest.raises(BuildError, match=rf"{LAYER}.*(is not quantized|is stored as BF16)"):
        check(tmp_path, form)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_scale_that_is_not_finite_is_found(tmp_path: Path, form: str, value: float) -> None:
    write(tmp_path, form)

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        scale = next(name for name in tensors if name.startswith(LAYER) and name.endswith(("scale", "scales", "SCB")))
        tensors[scale].view(-1)[-1] = value

    change(tmp_path, spoil)
    with pytest.raises(BuildError, match=rf"{LAYER}.* has values that are not finite"):
        check(tmp_path, form)


@pytest.mark.parametrize("form", FORMATS)
def test_another_format_is_found(tmp_path: Path, form: str) -> None:
    write(tmp_path, form)
    other = "int8" if form != "int8" else "awq"
    with pytest.raises(BuildError, match=r"quantization_config says|is stored as"):
        check(tmp_path, other)


def test_eight_bits_of_another_kind_are_found(tmp_path: Path) -> None:
    write(tmp_path, "fp8")
    with pytest.raises(BuildError, match="is stored as F8_E4M3, not as I8"):
        check(tmp_path, "int8")


def test_another_group_size_is_found(tmp_path: Path) -> None:
    write(tmp_path, "autogptq-int4")
    configure(tmp_path, group_size=64)
    with pytest.raises(BuildError, match="says group_size 64, not 32"):
        check(tmp_path, "autogptq-int4")


def test_scales_of_another_group_size_are_found(tmp_path: Path) -> None:
    write(tmp_path, "gptq-int4")
    change(tmp_path, lambda t: t.update({f"{LAYER}.weight_scale": torch.ones(64, 2, dtype=torch.bfloat16)}))
    with pytest.raises(BuildError, match=f"{LAYER} has 128 scales, 256 belong to 64 x 128"):
        check(tmp_path, "gptq-int4")


def test_reordered_activations_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "autogptq-int4")
    configure(tmp_path, desc_act=True)
    with pytest.raises(BuildError, match="says desc_act True, not False"):
        check(tmp_path, "autogptq-int4")


def test_a_quantized_head_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "int8")
    change(tmp_path, lambda tensors: tensors.update({"score.weight": torch.zeros(3, 64, dtype=torch.int8)}))
    with pytest.raises(BuildError, match=r"score\.weight is stored as I8; the head must stay in bfloat16"):
        check(tmp_path, "int8")


def test_another_head_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "int8")
    change(tmp_path, lambda tensors: tensors["score.weight"].mul_(2))
    with pytest.raises(BuildError, match=r"score\.weight is not that of"):
        check(tmp_path, "int8")


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "int8")
    change(tmp_path, lambda tensors: tensors.update({"left.over": torch.zeros(100_000, dtype=torch.int8)}))
    with pytest.raises(BuildError, match="bytes of weights, at most"):
        check(tmp_path, "int8")


def test_a_tokenizer_that_was_saved_anew_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "int8")
    (tmp_path / "new" / "tokenizer.json").write_text('{"normalizer": "NFC"}')
    with pytest.raises(BuildError, match=r"tokenizer\.json: not that of"):
        check(tmp_path, "int8")


def test_a_path_of_this_machine_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "autogptq-int4")
    configure(tmp_path, meta={"offload": str(tmp_path / "scratch")})
    with pytest.raises(BuildError, match=r"config\.json: names a folder of this machine"):
        check(tmp_path, "autogptq-int4")
