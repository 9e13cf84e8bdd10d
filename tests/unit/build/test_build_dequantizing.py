"""Quantized weights spelled out again: against packing by hand, and against compressed-tensors' own."""

import json
from pathlib import Path

import pytest
import torch
from compressed_tensors.compressors import pack_to_int32  # type: ignore[import-untyped]
from safetensors.torch import save_file

from intently_build.dequantizing import dequantize, is_quantized
from intently_build.errors import BuildError
from intently_build.head import cut_head
from intently_build.reference import load_classifier

OUTPUTS, INPUTS, GROUP = 16, 24, 8
LAYER = "model.layers.0.mlp.up_proj"


def scales(groups: int) -> torch.Tensor:
    return (torch.arange(1, OUTPUTS * groups + 1).reshape(OUTPUTS, groups) / 64).to(torch.bfloat16)


def four_bits() -> torch.Tensor:
    """Returns values from 0 to 15 (outputs, inputs), no two rows or columns alike."""
    return torch.randint(16, (OUTPUTS, INPUTS), generator=torch.Generator().manual_seed(0))


def by_hand(values: torch.Tensor) -> torch.Tensor:
    """Packs (rows, columns) of 0 to 15 along the columns, eight to an int32, the first in the lowest bits."""
    packed = [
        [sum(int(v) << 4 * at for at, v in enumerate(row[n : n + 8])) for n in range(0, len(row), 8)] for row in values
    ]
    return torch.tensor(packed).to(torch.int32)


def stored(folder: Path, **parts: torch.Tensor) -> torch.Tensor:
    """Writes one layer and a norm. Returns the layer's weight as it is spelled out."""
    tensors = {f"{LAYER}.{name}": tensor.contiguous() for name, tensor in parts.items()}
    save_file(tensors | {"model.norm.weight": torch.ones(4, dtype=torch.bfloat16)}, folder / "model.safetensors")
    weights = dequantize(folder)
    assert set(weights) == {f"{LAYER}.weight", "model.norm.weight"} | {
        f"{LAYER}.{name}" for name in parts if name == "bias"
    }
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    return weights[f"{LAYER}.weight"]


def test_eight_bits_times_the_rows_scale(tmp_path: Path) -> None:
    weight = torch.randint(-128, 128, (OUTPUTS, INPUTS), dtype=torch.int8)
    found = stored(tmp_path, weight=weight, weight_scale=scales(1), bias=torch.ones(OUTPUTS))
    assert torch.equal(found, weight.float() * scales(1).float())


def test_floats_of_eight_bits_times_the_rows_scale(tmp_path: Path) -> None:
    weight = torch.randn(OUTPUTS, INPUTS).to(torch.float8_e4m3fn)
    found = stored(tmp_path, weight=weight, weight_scale=scales(1))
    assert torch.equal(found, weight.float() * scales(1).float())


def test_bitsandbytes_divides_by_its_levels(tmp_path: Path) -> None:
    weight, largest = torch.randint(-127, 128, (OUTPUTS, INPUTS), dtype=torch.int8), torch.arange(1.0, OUTPUTS + 1)
    found = stored(tmp_path, weight=weight, SCB=largest, weight_format=torch.tensor(0, dtype=torch.uint8))
    torch.testing.assert_close(found, weight.float() * (largest / 127)[:, None])


@pytest.mark.parametrize("symmetric", [True, False])
def test_four_bits_in_groups(tmp_path: Path, symmetric: bool) -> None:
    values, scale = four_bits(), scales(INPUTS // GROUP)
    zeros = torch.full_like(scale, 8) if symmetric else torch.arange(scale.numel()).reshape(scale.shape) % 16
    parts = {} if symmetric else {"weight_zero_point": by_hand(zeros.T).T}
    packed = by_hand(values)
    assert torch.equal(packed, pack_to_int32((values - 8).to(torch.int8), 4))  # as compressed-tensors packs
    shape = torch.tensor([OUTPUTS, INPUTS])
    found = stored(tmp_path, weight_packed=packed, weight_scale=scale, weight_shape=shape, **parts)
    wanted = torch.stack(
        [(values[:, n] - zeros[:, n // GROUP]).float() * scale[:, n // GROUP].float() for n in range(INPUTS)], dim=1
    )
    assert torch.equal(found, wanted)


def test_autogptq_packs_the_other_way_round_with_zeros_one_too_low(tmp_path: Path) -> None:
    values, groups = four_bits(), INPUTS // GROUP
    scale = scales(groups).T.to(torch.float16)
    zeros = torch.arange(1, groups * OUTPUTS + 1).reshape(groups, OUTPUTS) % 15 + 1
    order = torch.arange(INPUTS) // GROUP
    found = stored(
        tmp_path, qweight=by_hand(values).T, qzeros=by_hand(zeros - 1), scales=scale, g_idx=order.to(torch.int32)
    )
    wanted = torch.stack(
        [(values[:, n] - zeros[n // GROUP]).float() * scale[n // GROUP].float() for n in range(INPUTS)], 1
    )
    assert torch.equal(found, wanted)


def test_what_is_stored_otherwise_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="stored as weight_scale, which is not known"):
        stored(tmp_path, weight_scale=scales(1))


def test_a_quantized_classifier_answers_with_its_stored_weights(tmp_path: Path) -> None:
    from intently_build.architecture import build_causal_model
    from intently_build.recipe import Architecture

    sizes = Architecture(hidden_size=64, intermediate_size=128, layers=1, heads=2, kv_heads=1)
    classifier = cut_head(build_causal_model(sizes, 100, 64, 99), [90, 91], ["yes", "no"])
    classifier.save_pretrained(tmp_path)
    assert not is_quantized(tmp_path)
    tensors = dict(classifier.state_dict())
    name = "model.layers.0.mlp.up_proj"
    eight = torch.randint(-127, 128, tensors[f"{name}.weight"].shape, dtype=torch.int8)
    scale = torch.full((len(eight), 1), 1 / 512)
    tensors |= {f"{name}.weight": eight, f"{name}.weight_scale": scale}
    save_file(tensors, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "x"}}))
    assert is_quantized(tmp_path)
    classifier.get_submodule(name).weight.data = eight.float() * scale
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        assert torch.equal(load_classifier(tmp_path)(input_ids=ids).logits, classifier(input_ids=ids).logits)
