"""Plans: the formulas give the published, stored and measured sizes, and what fits just fits."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from intently_build.bundles.manifest import read_manifest
from intently_build.cli import main
from intently_build.planning.formats import FORMATS, misfit
from intently_build.planning.gpus import GIB, KNOWN, Gpu, support
from intently_build.planning.memory import activation_bytes, kv_cache, weight_sizes
from intently_build.planning.page import HOW
from intently_build.planning.plan import Load, make_plan
from intently_build.planning.shapes import PUBLISHED, shape_of
from intently_build.planning.stored import stored_format
from intently_build.wide_console import WIDE, table_console
from support.paths import BUNDLE, ROOT

BUNDLES = sorted(path.parent for path in (ROOT / "build_model" / "bundles").glob("*/bundle.json"))
SEVEN = PUBLISHED["qwen2.5-7b"]

# Parameters of the published base models, as their model cards' safetensors headers count them.
PARAMETERS = {
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
}


def test_published_shapes_have_as_many_parameters_as_published() -> None:
    assert {name: shape.parameters for name, shape in PUBLISHED.items()} == PARAMETERS


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_committed_bundle_takes_what_is_computed_to_the_byte(bundle: Path) -> None:
    with safe_open(bundle / "model.safetensors", framework="numpy") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118  # not a dictionary
        assert {each.get_dtype() for each in slices.values()} == {"BF16"}
        stored = 2 * sum(size_of(each.get_shape()) for each in slices.values())
        labels = slices["score.weight"].get_shape()[0]
    assert weight_sizes(shape_of(bundle), FORMATS["bf16"], 128, labels).total == stored
    assert stored == pytest.approx((bundle / "model.safetensors").stat().st_size, rel=1e-3)


def size_of(shape: list[int]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


@pytest.mark.parametrize(("weights", "gigabytes"), [("fp8", 8.71), ("int8", 8.71), ("gptq-int4", 5.55)])
def test_the_7b_takes_what_was_measured(weights: str, gigabytes: float) -> None:
    """llmcompressor's checkpoints of the 7B shape on a GPU, language-model head included: 6-build.md of the design."""
    sizes = weight_sizes(SEVEN, FORMATS[weights], 128, 100)
    assert round(sizes.causal_total / 1e9, 2) == gigabytes
    assert round(sizes.language_model_head / 1e9, 2) == 1.09


def test_int4_with_a_cut_head_is_small_enough_to_be_wanted() -> None:
    assert weight_sizes(SEVEN, FORMATS["gptq-int4"], 128, 100).total < 4.6e9


def test_scales_and_zero_points_are_counted() -> None:
    by_format = {name: weight_sizes(SEVEN, FORMATS[name], 128, 100).scales for name in FORMATS}
    groups, layers = SEVEN.linear_weights // 128, 28 * 7
    assert by_format["bf16"] == 0
    assert by_format["fp8"] == 2 * SEVEN.linear_outputs
    assert by_format["gptq-int4"] == 2 * groups + 16 * layers
    assert by_format["awq"] == 2 * groups + groups // 2 + 16 * layers
    assert by_format["autogptq-int4"] == 2 * groups + groups // 2 + 4 * SEVEN.linear_inputs


# Bytes of all tensors that the tools wrote of mini-clinc150, 64 weights to a scale: llmcompressor 0.14.0.1, gptqmodel
# 7.6.0 and bitsandbytes 0.50.2, read off the files' headers.
QUANTIZED = {
    "fp8": 5_134_592,
    "int8": 5_134_592,
    "gptq-int4": 3_736_784,
    "autogptq-int4": 3_791_744,
    "awq": 3_759_824,
    "bnb-int8": 5_150_357,
}


@pytest.mark.parametrize("weights", QUANTIZED)
def test_quantized_checkpoints_take_what_is_computed_to_the_byte(weights: str) -> None:
    assert weight_sizes(shape_of(BUNDLE), FORMATS[weights], 64, 151).total == QUANTIZED[weights]


def test_keys_and_values_are_kept_by_key_value_head() -> None:
    assert kv_cache(SEVEN, "bfloat16", 16, 0).token_bytes == 2 * 28 * 4 * 128 * 2 == 57_344
    assert kv_cache(SEVEN, "fp8", 16, 0).token_bytes == 28_672
    assert kv_cache(PUBLISHED["qwen2.5-0.5b"], "float32", 16, 0).token_bytes == 2 * 24 * 2 * 64 * 4


@given(
    memory=st.integers(-GIB, 40 * GIB),
    tokens=st.integers(1, 5000),
    prefix=st.integers(0, 5000),
    block=st.sampled_from([16, 32, 128]),
)
def test_as_many_requests_fit_as_there_is_memory_for(memory: int, tokens: int, prefix: int, block: int) -> None:
    cache = kv_cache(SEVEN, "bfloat16", block, memory)
    requests = cache.requests(tokens, prefix)
    if requests:
        assert cache.bytes_for(requests, tokens, prefix) <= memory
    assert cache.bytes_for(requests + 1, tokens, prefix) > memory
    assert requests >= cache.requests(tokens, 0)
    assert cache.tokens(tokens) * cache.token_bytes <= max(memory, 0)


def test_activations_are_those_of_the_mlp() -> None:
    """8,192 tokens of the 7B: residual, normed input, gate, up and product, in bfloat16."""
    assert activation_bytes(SEVEN, FORMATS["bf16"], 8192) == 8192 * 2 * (2 * 3584 + 3 * 18_944)
    assert activation_bytes(SEVEN, FORMATS["fp8"], 8192) == activation_bytes(SEVEN, FORMATS["bf16"], 8192) + (
        8192 * 18_944
    )


# GPU, format, whether vLLM runs it there, and words of how: the table in 6-build.md of the design.
SUPPORTED = [
    ("h200", "fp8", True, "W8A8"),
    ("l4", "fp8", True, "W8A8"),
    ("a100-80g", "fp8", True, "W8A16"),
    ("a100-80g", "int8", True, "Cutlass"),
    ("t4", "int8", True, "float16"),
    ("t4", "bf16", False, "bfloat16"),
    ("b200", "int8", False, "Blackwell"),
    ("rtx5090", "int8", False, "Blackwell"),
    ("h200", "gptq-int4", True, "Machete"),
    ("a10", "awq", True, "Marlin"),
    ("h200", "bnb-int8", True, "plugin"),
]


@pytest.mark.parametrize(("gpu", "weights", "runs", "how"), SUPPORTED)
def test_gpus_run_the_formats_of_their_capability(gpu: str, weights: str, runs: bool, how: str) -> None:
    found = support(KNOWN[gpu], FORMATS[weights])
    assert found.runs is runs
    assert how in found.how


def test_a_group_size_that_does_not_divide_is_told() -> None:
    shape = shape_of(BUNDLES[0])
    assert misfit(FORMATS["gptq-int4"], shape, 64) is None
    assert misfit(FORMATS["bf16"], shape, 128) is None
    assert misfit(FORMATS["awq"], shape, 128) == "group size 128 does not divide the 320 inputs of q_proj"


def test_what_does_not_fit_carries_no_request() -> None:
    plan = make_plan(PUBLISHED["qwen2.5-32b"], Load(requests=1), FORMATS.values(), [KNOWN["l4"]])
    fits = {fit.format: fit for fit in plan.fits}
    assert fits["bf16"].kv_bytes < 0
    assert (fits["bf16"].requests, fits["bf16"].kv_tokens, fits["bf16"].enough) == (0, 0, False)


def test_a_shared_prefix_leaves_room_for_more() -> None:
    gpus = [Gpu("one", 24.0, 89)]
    alone = make_plan(SEVEN, Load(tokens=640), [FORMATS["fp8"]], gpus).fits[0]
    shared = make_plan(SEVEN, Load(tokens=640, prefix_tokens=600), [FORMATS["fp8"]], gpus).fits[0]
    assert shared.requests > 10 * alone.requests
    assert shared.kv_tokens == alone.kv_tokens


def test_every_figure_says_how_it_came_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--shape", "7b", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    figures = {key for part in ("formats", "fits") for each in content[part] for key in each if number(each[key])}
    figures |= {key for key, value in content.items() if number(value)}
    assert figures <= set(HOW)
    assert all(how.startswith(("computed", "assumed", "known")) for how in HOW.values())
    assert {fit["gpu"] for fit in content["fits"]} == set(KNOWN)


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def test_a_bundle_is_planned_by_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    bundle = BUNDLE
    assert main(["plan", str(bundle), "--json", "--gpu", "l4"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["load"]["labels"] == 151
    assert content["load"]["tokens"] == 1024
    assert content["load"]["prefix_tokens"] > 128
    assert content["shape"]["parameters"] == read_manifest(bundle).origin.parameters
    assert {each["language_model_head"] for each in content["formats"]} == {0}  # cut away already
    size = (bundle / "model.safetensors").stat().st_size
    assert content["stored"] == {"name": "bf16", "group_size": None, "bytes": size}


def compressed(bits: int, kind: str, *, inputs: bool, symmetric: bool = True, group: int | None = None) -> object:
    """A quantization_config as llmcompressor writes it, in brief."""
    strategy = "group" if group else "channel"
    weights = {"num_bits": bits, "type": kind, "symmetric": symmetric, "strategy": strategy, "group_size": group}
    groups = {"group_0": {"weights": weights, "input_activations": {"num_bits": 8} if inputs else None}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


@pytest.mark.parametrize(
    ("said", "name", "group"),
    [
        (compressed(8, "float", inputs=True), "fp8", None),
        (compressed(8, "int", inputs=True), "int8", None),
        (compressed(8, "int", inputs=False), None, None),
        (compressed(4, "int", inputs=False, group=64), "gptq-int4", 64),
        (compressed(4, "int", inputs=False, group=64, symmetric=False), "awq", 64),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "autogptq-int4", 32),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, None, None),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", None),
        ({"quant_method": "hqq"}, None, None),
        ([], None, None),
    ],
)
def test_the_stored_format_is_recognised(said: object, name: str | None, group: int | None) -> None:
    found = stored_format({"quantization_config": said})
    assert found.name == name
    assert found.group_size == group


def test_a_quantized_folder_is_planned_with_its_group_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((BUNDLE / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = compressed(4, "int", inputs=False, group=64)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["plan", str(tmp_path), "--gpu", "l4", "--format", "gptq-int4", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["stored"] == {"name": "gptq-int4", "group_size": 64, "bytes": 0}
    assert content["load"]["group_size"] == 64
    assert content["formats"][0]["total"] == QUANTIZED["gptq-int4"]


def test_the_page_shows_sizes_and_fits(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "--shape", "qwen2.5-7b", "--memory", "24", "--capability", "8.9", "--requests", "100000"]
    assert main([*arguments, "--format", "gptq-int4", "--format", "bf16"]) == 1
    page = capsys.readouterr().out
    for words in ("7,615,616,512 parameters", "57,344 bytes a token", "5.55", "24 GiB", "too few", "computed"):
        assert words in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--shape", "8b"], "--shape 8b: not known; known are qwen2.5-0.5b"),
        (["gone"], "config.json: cannot read it"),
        (["--shape", "7b", "--gpu", "h9"], "--gpu h9: not known"),
        (["--shape", "7b", "--format", "int3"], "--format int3: not known"),
        (["--shape", "7b", "--tokens", "0"], "--tokens 0: must be at least 1"),
        (["--shape", "7b", "--prefix-tokens", "2000"], "--prefix-tokens 2000: must be from 0"),
        (["--shape", "7b", "--utilization", "nan"], "--utilization nan"),
        (["--shape", "7b", "--memory", "nan"], "--memory nan"),
        (["--shape", "7b", "--capability", "9"], "--capability: belongs to --memory"),
        (["--shape", "7b", "--requests", "0"], "--requests 0"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_another_kind_of_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert main(["plan", str(tmp_path)]) == 2
    assert "only qwen2 can be planned" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [None, "80"])
def test_no_figure_is_lost_in_a_pipe_or_on_a_narrow_terminal(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert main(["plan", "--shape", "7b", "--tokens", "624", "--prefix-tokens", "600", "--gpu", "h200"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert ("(2,070,608)" in said) is (columns is None)


def test_in_a_pipe_every_table_is_wide_and_a_set_width_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table_console().width == WIDE
    monkeypatch.setenv("COLUMNS", "70")
    assert table_console().width == 70
