"""What comes out: the source's config and tokenizer, the tool's weights, and a record of what they were made from."""

import json
from pathlib import Path

import pytest

from intently_build.errors import BuildError
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.environment import Environments
from intently_build.quantizing.job import Job, read_job
from intently_build.quantizing.manifest import stored_as
from intently_build.quantizing.outcome import Identity, assemble, made_from, source_sha256
from unit.build.toy_checkpoint import GROUP, write_quantized, write_toy

IDENTITY = Identity(
    form="autogptq-int4", group_size=GROUP, seed=0, samples=4, calibration_sha256="c" * 64, source_sha256="s" * 64
)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "toy")


@pytest.fixture
def new(toy: Path, tmp_path: Path) -> Path:
    """Assembled of what a tool wrote that saved the tokenizer anew, changed the dtype, and noted its scratch folder."""
    raw = write_quantized(tmp_path / "raw", toy, "autogptq-int4")
    (raw / "tokenizer.json").write_text('{"normalizer": "NFC"}')
    config = json.loads((raw / "config.json").read_text())
    config["dtype"] = "float16"
    config["quantization_config"]["meta"] = {"quantizer": ["gptqmodel:7.6.0"], "offload": "/scratch/x"}
    (raw / "config.json").write_text(json.dumps(config))
    (raw / "recipe.yaml").write_text("the tool's own")
    (raw / "model.safetensors").chmod(0o600)
    assemble(raw, read_checkpoint(toy), IDENTITY, {"gptqmodel": "7.6.0"}, tmp_path / "new")
    return tmp_path / "new"


def test_config_and_tokenizer_are_the_sources(new: Path, toy: Path) -> None:
    config = json.loads((new / "config.json").read_text())
    said = config.pop("quantization_config")
    assert config == json.loads((toy / "config.json").read_text()) | {"dtype": "bfloat16"}
    assert said["meta"] == {"quantizer": ["gptqmodel:7.6.0"]}
    assert json.loads((new / "quantize_config.json").read_text()) == said
    assert (new / "tokenizer.json").read_bytes() == (toy / "tokenizer.json").read_bytes()


def test_nothing_else_of_the_tools_is_kept(new: Path) -> None:
    kept = {"config.json", "model.safetensors", "quantization.json", "quantize_config.json", "tokenizer.json"}
    assert {path.name for path in new.iterdir()} == kept
    assert {path.stat().st_mode & 0o777 for path in new.iterdir()} == {0o644}


def test_the_record_says_what_it_was_made_from(new: Path, toy: Path) -> None:
    assert made_from(new) == IDENTITY
    assert made_from(toy) is None
    stored = stored_as(new)
    assert (stored.method, stored.bits, stored.group_size, stored.dtype) == ("gptq", 4, GROUP, "bfloat16")
    assert (stored_as(toy).method, stored_as(toy).bits) == ("none", 16)


def test_a_record_that_is_damaged_counts_as_none(new: Path) -> None:
    (new / "quantization.json").write_text("{")
    assert made_from(new) is None


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_any_other_byte_of_the_source_is_another_source(toy: Path, name: str) -> None:
    source = read_checkpoint(toy)
    before = source_sha256(source)
    assert before == source_sha256(source)
    content = bytearray((toy / name).read_bytes())
    content[-1] ^= 1
    (toy / name).write_bytes(content)
    assert source_sha256(source) != before


def test_a_job_reads_as_it_was_written(tmp_path: Path) -> None:
    job = Job("awq", tmp_path / "in", tmp_path / "out", tmp_path / "scratch", 64, 7, ((1, 2), (3,)))
    job.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


def test_the_build_environment_lies_beside_this_one_or_where_the_variable_says(tmp_path: Path) -> None:
    assert Environments(tmp_path / ".venv", {}).build == tmp_path / ".venv-build"
    assert Environments(tmp_path / ".venv", {"INTENTLY_BUILD_ENV": "/tools"}).build == Path("/tools")


def test_an_environment_without_the_tool_is_not_taken_for_one_with_it(tmp_path: Path) -> None:
    environments = Environments(tmp_path / ".venv", {})
    package = tmp_path / ".venv-build" / "lib" / "python3.11" / "site-packages" / "gptqmodel"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / ".venv-build" / "bin").mkdir()
    (tmp_path / ".venv-build" / "bin" / "python").touch()
    assert environments.python_with("gptqmodel") == tmp_path / ".venv-build" / "bin" / "python"
    with pytest.raises(BuildError, match="llmcompressor is neither installed here nor in"):
        environments.python_with("llmcompressor")
