"""Before a tool starts: what it would save in silence, or fail at after minutes, is one clear line."""

import json
from pathlib import Path

import pytest

from intently_build.errors import BuildError
from intently_build.quantize_check import linears_of
from intently_build.quantizing.checkpoint import Checkpoint, Tensor, read_checkpoint
from intently_build.quantizing.formats import FORMATS, expected_bytes, find_format
from intently_build.quantizing.preflight import check_disk, check_group, check_weights, cpu_warnings
from intently_build.recipe import Architecture
from unit.build.toy_checkpoint import CONFIG, SHAPES, write_toy

FOUR_BITS = FORMATS["gptq-int4"]
INT8 = FORMATS["int8"]


def test_a_checkpoint_is_known_by_its_headers(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_toy(tmp_path / "toy"))
    check_weights(checkpoint)
    assert len(checkpoint.linears) == 2 * len(SHAPES)
    assert checkpoint.linears["model.layers.1.mlp.down_proj"] == (64, 128)
    assert checkpoint.head == "score.weight"
    assert checkpoint.values_beside_linears == 100 * 64 + 64 + 3 * 64
    assert checkpoint.size == (tmp_path / "toy" / "model.safetensors").stat().st_size


def test_a_checkpoint_may_lie_in_shards(tmp_path: Path) -> None:
    folder = write_toy(tmp_path / "toy")
    whole = read_checkpoint(folder)
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = {"weight_map": dict.fromkeys(whole.tensors, "part.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_checkpoint(folder).linears == whole.linears
    (folder / "part.safetensors").unlink()
    with pytest.raises(BuildError, match=r"part\.safetensors: cannot read the weights"):
        read_checkpoint(folder)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    weights = write_toy(tmp_path / "toy") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BuildError, match=r"model\.safetensors: cannot read the weights.*is the file whole\?"):
        read_checkpoint(tmp_path / "toy")


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"config\.json: cannot read it.*is .* a checkpoint\?"):
        read_checkpoint(tmp_path)


def test_what_is_quantized_already_is_refused(tmp_path: Path) -> None:
    folder = write_toy(tmp_path / "toy")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": {}}))
    with pytest.raises(BuildError, match="quantized already"):
        check_weights(read_checkpoint(folder))


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.grouped])
def test_a_group_size_that_does_not_divide_names_layer_dimension_and_remedy(name: str) -> None:
    linears = {"model.layers.0.self_attn.q_proj": (128, 128), "model.layers.0.mlp.down_proj": (320, 704)}
    with pytest.raises(BuildError) as caught:
        check_group(FORMATS[name], 128, linears)
    assert str(caught.value) == (
        "model.layers.0.mlp.down_proj: 704 inputs cannot be divided into groups of 128; "
        "--group-size 64 divides every layer"
    )
    check_group(FORMATS[name], 64, linears)


def test_a_model_that_is_not_made_yet_is_looked_at_by_its_sizes() -> None:
    sizes = Architecture(hidden_size=128, intermediate_size=192, layers=2, heads=2, kv_heads=1)
    with pytest.raises(BuildError, match=r"down_proj: 192 inputs .* quantize\.group_size 64 divides every layer"):
        check_group(FOUR_BITS, 128, linears_of(sizes), "quantize.group_size")
    check_group(FOUR_BITS, 64, linears_of(sizes), "quantize.group_size")


def test_where_no_group_size_divides_the_line_says_so() -> None:
    with pytest.raises(BuildError, match=r"72 inputs .* no group size divides every layer"):
        check_group(FOUR_BITS, 32, {"model.layers.0.mlp.up_proj": (64, 72)})


def test_a_group_size_that_no_kernel_has_is_refused() -> None:
    with pytest.raises(BuildError, match="--group-size 16: must be one of 128, 64, 32"):
        check_group(FOUR_BITS, 16, {"model.layers.0.mlp.up_proj": (64, 64)})


def test_formats_without_groups_take_every_size() -> None:
    check_group(INT8, 128, {"model.layers.0.mlp.up_proj": (64, 72)})


def test_what_the_kernel_for_cpus_cannot_compute_is_a_warning() -> None:
    linears = {"model.layers.0.mlp.up_proj": (64, 64), "model.layers.0.mlp.down_proj": (72, 64)}
    (line,) = cpu_warnings(FOUR_BITS, linears)
    assert line.startswith("model.layers.0.mlp.down_proj: 72 x 64 is not divisible by 32")
    assert not cpu_warnings(INT8, linears)


def test_too_little_disk_is_said_before_the_work(tmp_path: Path) -> None:
    tensors = {
        "model.layers.0.mlp.up_proj.weight": Tensor("BF16", (1_000_000, 1_000_000_000), tmp_path / "huge"),
        "score.weight": Tensor("BF16", (3, 64), tmp_path / "huge"),
    }
    with pytest.raises(BuildError, match=r"new: needs 1,100,000,002 MB on that disk, [\d,]+ MB are free"):
        check_disk(Checkpoint(tmp_path, CONFIG, tensors), INT8, 128, tmp_path / "new")


def test_bytes_are_counted_with_scales_and_zero_points() -> None:
    shape = (64, 128)
    assert FOUR_BITS.stored_bytes(shape, 32) == 64 * 128 // 2 + 64 * 4 * 2 + 16
    assert FORMATS["awq"].stored_bytes(shape, 32) == 64 * 128 // 2 + 64 * 4 * 2 + 64 * 4 // 2 + 16
    assert INT8.stored_bytes(shape, 0) == 64 * 128 + 64 * 2
    assert expected_bytes(INT8, 128, [shape, shape], 10) == 2 * INT8.stored_bytes(shape, 0) + 20


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(BuildError, match="no format 'int3'; there are gptq-int4, autogptq-int4, int8, fp8, awq"):
        find_format("int3")
