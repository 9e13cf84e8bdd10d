"""`intently-build run`: every step of a recipe, stopped in each of them, gone on with, and the same in the end."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundles.manifest import read_manifest
from intently_build.bundles.verify import verify
from intently_build.steps.step import RECORD, read_record
from support.rounding_tool import tool_environment
from support.stopped_build import Builder, Point
from support.tiny_build import make_adapter, make_base, make_recipe

TRAINING: dict[str, Any] = {"epochs": 8, "batch_size": 16, "learning_rate": 0.01, "noise": {"context": 0.1}}
LORA: dict[str, Any] = {"base": "../base", "lora": {"r": 8}}
STEPS = ("base", "adapter", "merged", "head", "bundle")  # the folder of each step's result


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    builder = Builder()
    yield builder
    builder.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    make_base(folder / "base")
    return make_recipe(folder / "recipe", adapt=LORA, training=TRAINING)


def arguments(recipe: Path, run: Path) -> list[str]:
    return ["run", str(recipe), "--output", str(run), "--device", "cpu"]


@pytest.fixture(scope="module")
def run(builder: Builder, recipe: Path) -> Path:
    """A run that was killed in every step, once before anything was written and once before it was in place."""
    folder = recipe.parents[1] / "run"
    for place, step in enumerate(STEPS):
        for point in (
            Point("open", f".{step}.partial/config.json" if step != "adapter" else "trainer_state.json", "kill"),
            Point("os.rename", f".{step}.partial", "kill"),
        ):
            ended = builder.run(arguments(recipe, folder), point)
            assert ended.code == -signal.SIGKILL, (point, ended.error)
            assert [name for name in STEPS if (folder / name).exists()] == list(STEPS[:place])
    ended = builder.run(arguments(recipe, folder))
    assert ended.code == 0, ended.error
    assert "[4/5] head: done before" in ended.output
    assert "[5/5] package: begins" in ended.output
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Returns what lies in a folder, but for the records, which say how long each step took."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != RECORD]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_run_that_was_killed_in_every_step_ends_with_a_bundle(run: Path) -> None:
    manifest = read_manifest(run / "bundle")
    assert manifest.revision == compute_revision(manifest)
    assert manifest.head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS
    assert manifest.origin.base_model.startswith("../base (SHA-256 of the weights: ")
    assert manifest.origin.parameters > 50_000
    assert len(manifest.golden_vectors) == 2
    assert not [path for path in run.iterdir() if path.name.endswith((".partial", ".old"))]
    assert len(list((run / "logs").iterdir())) == 2 * len(STEPS) + 1


def test_every_step_says_what_it_proved(run: Path) -> None:
    records = {name: read_record(run / name / RECORD) for name in ("base", "adapter", "merged", "head", "package")}
    proofs = {name: record.proof for name, record in records.items() if record}
    assert proofs["base"]["tokens"] == 3
    assert proofs["adapter"]["validation_accuracy"] > 0.8  # of three intents
    assert proofs["adapter"]["trained_parameters"] < 0.2 * proofs["adapter"]["parameters"]
    assert proofs["merged"]["matched"]["base_digest"] == "equal"
    agreement = proofs["merged"]["agreement"]
    assert agreement["argmax_equal"] == agreement["prompts"] == 18
    assert proofs["head"]["largest_probability_difference"] < 1e-6
    assert proofs["package"]["validation_accuracy"] > 0.8
    assert proofs["package"]["revision"] == read_manifest(run / "bundle").revision


def test_a_complete_run_does_nothing(builder: Builder, recipe: Path, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for name in STEPS for path in (run / name).rglob("*")}
    ended = builder.run(arguments(recipe, run))
    assert ended.code == 0
    assert ended.output.count("done before") == 5
    assert {path: path.stat().st_mtime_ns for name in STEPS for path in (run / name).rglob("*")} == before


def test_from_a_fixed_checkpoint_on_all_bytes_are_the_same(builder: Builder, recipe: Path, run: Path) -> None:
    other = recipe.parents[1] / "again"
    for name in ("base", "adapter", "run.json"):
        copy = shutil.copytree if (run / name).is_dir() else shutil.copyfile
        other.mkdir(exist_ok=True)
        copy(run / name, other / name)
    ended = builder.run(arguments(recipe, other))
    assert ended.code == 0, ended.error
    assert "[2/5] adapt: done before" in ended.output
    for name in ("merged", "head", "bundle"):
        assert files(other / name) == files(run / name)


@pytest.mark.parametrize(
    ("step", "how"),
    [*((step, how) for step in STEPS for how in ("interrupt", "full disk")), ("merged", "terminate")],
)
def test_a_stopped_step_leaves_nothing_and_says_so_in_one_line(
    builder: Builder, recipe: Path, run: Path, tmp_path: Path, step: str, how: Any
) -> None:
    folder = tmp_path / "run"
    for name in ("base", "adapter", "merged", "head", "run.json"):
        if name == step:
            break
        copy = shutil.copytree if (run / name).is_dir() else shutil.copyfile
        folder.mkdir(exist_ok=True)
        copy(run / name, folder / name)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(run / "run.json", folder / "run.json")
    place = f".{step}.partial/config.json" if step != "adapter" else "trainer_state.json"
    ended = builder.run(arguments(recipe, folder), Point("open", place, how))
    line = ended.error.strip()
    if how != "full disk":
        assert (ended.code, line) == (130, "intently-build: stopped; run it again to go on")
    else:
        assert ended.code == 2
        assert line.startswith(f"intently-build: {folder / step}: the disk is full")
        assert line.endswith("make room and run it again")
    assert "\n" not in line
    assert not (folder / step).exists()
    assert not [path for path in folder.iterdir() if path.name.endswith(".partial")]


@pytest.mark.parametrize("how", ["interrupt", "full disk", "kill"])
def test_a_stopped_calibration_leaves_nothing_where_a_bundle_is_expected(
    builder: Builder, recipe: Path, run: Path, tmp_path: Path, how: Any
) -> None:
    command = ["calibrate", str(run / "bundle"), "--recipe", str(recipe), "--output", str(tmp_path / "new")]
    ended = builder.run(command, Point("open", ".new.partial/config.json", how))
    assert ended.code == {"interrupt": 130, "full disk": 2, "kill": -signal.SIGKILL}[how]
    assert ended.error.count("\n") == (how != "kill")
    assert {path.name for path in tmp_path.iterdir()} == ({".new.partial"} if how == "kill" else set())
    assert builder.run(command).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    assert read_manifest(tmp_path / "new").revision == read_manifest(run / "bundle").revision


@pytest.fixture(scope="module")
def quantizing(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A recipe that quantizes, run up to its head, and an environment with a tool that is quick."""
    folder = tmp_path_factory.mktemp("quantizing")
    make_adapter(make_base(folder / "base"), folder / "adapter", labels=3)
    adapter = {"base": "../base", "folder": "../adapter", "head": "trained"}
    recipe = make_recipe(folder / "recipe", adapter=adapter, quantize={"to": "int8", "samples": 16})
    environment = {"INTENTLY_BUILD_ENV": str(tool_environment(folder / "env"))}
    ended = builder.run(
        arguments(recipe, folder / "run"), Point("os.mkdir", ".quantized.partial", "kill"), **environment
    )
    assert ended.code == -signal.SIGKILL, ended.error
    return recipe, environment


@pytest.mark.parametrize(
    ("event", "place", "how"),
    [
        ("open", "scratch/job.json", "interrupt"),
        ("open", "scratch/job.json", "full disk"),
        ("os.rename", "..quantized.partial.partial/result", "terminate"),
        ("os.rename", "..quantized.partial.partial/result", "kill"),
    ],
)
def test_quantizing_that_is_stopped_leaves_nothing_and_goes_on(
    builder: Builder,
    quantizing: tuple[Path, dict[str, str]],
    tmp_path: Path,
    event: str,
    place: str,
    how: Any,
) -> None:
    recipe, environment = quantizing
    run = Path(shutil.copytree(recipe.parents[1] / "run", tmp_path / "run"))
    ended = builder.run(arguments(recipe, run), Point(event, place, how), **environment)
    assert ended.code == {"full disk": 2, "kill": -signal.SIGKILL}.get(how, 130)
    assert ended.error.count("\n") == (how != "kill")
    assert "Traceback" not in ended.error
    assert not (run / "quantized").exists()
    if how != "kill":
        assert {path.name for path in run.iterdir()} == {"merged", "head", "logs", "run.json"}
    ended = builder.run(arguments(recipe, run), None, **environment)
    assert ended.code == 0, ended.error
    assert "[2/4] head: done before" in ended.output
    assert read_manifest(run / "bundle").quantization.method == "int8"
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("how", ["interrupt", "full disk"])
def test_an_evaluation_that_is_stopped_leaves_the_bundles_whole_and_goes_on(
    builder: Builder, elsewhere: Path, tmp_path: Path, how: Any
) -> None:
    command = [*arguments(elsewhere, tmp_path / "run"), "--evaluate", "transformers"]
    for place in ("answers.jsonl", "report.html.partial"):
        ended = builder.run(command, Point("open", place, how))
        assert ended.code == {"interrupt": 130, "full disk": 2}[how]
        assert ended.error.count("\n") == 1
        assert verify(tmp_path / "run" / "bundle") == []
        assert not (tmp_path / "run" / "evaluation" / "report.html").exists()
    ended = builder.run(command)
    assert ended.code == 0, ended.error
    assert "answers kept from before" in ended.output
    assert len(read_manifest(tmp_path / "run" / "bundle").evaluations) == 1


def test_a_bundle_that_fails_the_gate_ends_the_run_with_its_code_and_one_line(
    builder: Builder, recipe: Path, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(recipe.parent, tmp_path / "recipe")
    shutil.copytree(recipe.parents[1] / "base", tmp_path / "base")
    shutil.copytree(run, tmp_path / "run")
    other = tmp_path / "recipe" / recipe.name
    content = yaml.safe_load(other.read_text()) | {"quantize": {"to": "int8", "samples": 16}}
    other.write_text(yaml.safe_dump(content))
    environment = {"INTENTLY_BUILD_ENV": str(tool_environment(tmp_path / "env", levels=0))}
    command = [*arguments(other, tmp_path / "run"), "--evaluate", "transformers"]
    ended = builder.run(command, None, **environment)
    assert ended.code == 1, ended.error
    accuracy, macro_f1 = (f"bundle fails the gate on {name}: .* allowed" for name in ("accuracy", "macro-F1"))
    assert re.fullmatch(rf"intently-build: {accuracy}; {macro_f1}\n", ended.error)
    assert "evaluation: did not pass the gate" in ended.output
    assert (tmp_path / "run" / "evaluation" / "report.html").is_file()


def test_without_test_rows_the_validation_rows_are_asked_about(
    builder: Builder, elsewhere: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load(elsewhere.read_text())
    del content["data"]["test"]
    elsewhere.write_text(yaml.safe_dump(content))
    ended = builder.run([*arguments(elsewhere, tmp_path / "run"), "--evaluate", "transformers"])
    assert ended.code == 0, ended.error
    assert "tiny.yaml: names no test rows; asked about the validation rows" in ended.output
    [found] = read_manifest(tmp_path / "run" / "bundle").evaluations
    assert (found.split, found.in_scope_rows) == ("validation", 18)


def change(recipe: Path, section: str, **changes: Any) -> None:
    content = yaml.safe_load(recipe.read_text())
    content[section] |= changes
    recipe.write_text(yaml.safe_dump(content))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A recipe for an adapter that somebody else trained, with a head of its own."""
    base = make_base(tmp_path / "base")
    make_adapter(base, tmp_path / "adapter", labels=3)
    return make_recipe(tmp_path / "recipe", adapter={"base": "../base", "folder": "../adapter", "head": "trained"})


def test_an_adapter_from_elsewhere_becomes_a_bundle_and_is_evaluated(builder: Builder, elsewhere: Path) -> None:
    run = elsewhere.parents[1] / "run"
    ended = builder.run([*arguments(elsewhere, run), "--evaluate", "transformers"])
    assert ended.code == 0, ended.error
    assert "[3/3] package" in ended.output
    manifest = read_manifest(run / "bundle")
    assert manifest.head.kind == bundle_pb2.HEAD_KIND_TRAINED
    assert not manifest.head.code_token_ids
    assert manifest.origin.adapter.startswith("../adapter (SHA-256: ")
    assert [(found.split, found.in_scope_rows) for found in manifest.evaluations] == [("test", 18)]
    assert (run / "evaluation" / "report.html").is_file()
    again = builder.run(arguments(elsewhere, run))
    assert again.output.count("done before") == 3  # the evaluation in the manifest does not make it another bundle


def test_two_runs_of_an_adapter_from_elsewhere_give_the_same_bytes(
    builder: Builder, elsewhere: Path, tmp_path: Path
) -> None:
    os.utime(tmp_path / "adapter" / "adapter_model.safetensors", (1_700_000_000, 1_700_000_000))
    runs = [tmp_path / "one", tmp_path / "two"]
    for run in runs:
        assert builder.run(arguments(elsewhere, run)).code == 0
    for name in ("merged", "head", "bundle"):
        assert files(runs[0] / name) == files(runs[1] / name)
    assert read_manifest(runs[0] / "bundle").create_time.seconds == 1_700_000_000


def test_another_calibration_packages_again_and_no_more(builder: Builder, elsewhere: Path) -> None:
    run = elsewhere.parents[1] / "run"
    builder.run(arguments(elsewhere, run))
    change(elsewhere, "calibration", ambiguity_margin=0.3)
    ended = builder.run(arguments(elsewhere, run))
    assert ended.output.count("done before") == 2
    assert "[3/3] package: made anew, since its settings changed" in ended.output
    assert read_manifest(run / "bundle").calibration.ambiguity_margin == 0.3


def test_a_damaged_result_is_made_anew_with_what_follows(builder: Builder, elsewhere: Path) -> None:
    run = elsewhere.parents[1] / "run"
    builder.run(arguments(elsewhere, run))
    before = files(run / "bundle")
    weights = run / "head" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ended = builder.run(arguments(elsewhere, run))
    assert "[2/3] head: made anew, since its result was changed or damaged" in ended.output
    assert files(run / "bundle") == before


def test_the_time_in_a_manifest_can_be_given(builder: Builder, elsewhere: Path, tmp_path: Path) -> None:
    ended = builder.run(arguments(elsewhere, tmp_path / "run"), SOURCE_DATE_EPOCH="1700000000")
    assert ended.code == 0, ended.error
    assert read_manifest(tmp_path / "run" / "bundle").create_time.seconds == 1_700_000_000
    refused = builder.run(arguments(elsewhere, tmp_path / "run"), SOURCE_DATE_EPOCH="now")
    assert "SOURCE_DATE_EPOCH=now: must be a number of seconds since 1970" in refused.error


def test_another_training_is_trained_anew(builder: Builder, recipe: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(recipe.parent, tmp_path / "recipe"))
    shutil.copytree(recipe.parents[1] / "base", tmp_path / "base")
    shutil.copytree(run, tmp_path / "run")
    other = folder / recipe.name
    change(other, "training", epochs=1)
    ended = builder.run(arguments(other, tmp_path / "run"))
    assert ended.code == 0, ended.error
    assert "what was trained by the former is thrown away" in ended.output
    assert "[2/5] adapt: begins" in ended.output
    record = read_record(tmp_path / "run" / "adapter" / RECORD)
    assert record
    assert record.proof["steps"] == 5


def test_an_adapter_of_a_base_that_changed_is_trained_anew(
    builder: Builder, recipe: Path, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(recipe.parent, tmp_path / "recipe")
    shutil.copytree(run, tmp_path / "run")
    make_base(tmp_path / "base", seed=5)
    other = tmp_path / "recipe" / recipe.name
    refused = builder.run(["adapt", *arguments(other, tmp_path / "run")[1:]])
    assert "made from another files than the recipe now gives; train with --restart" in refused.error
    ended = builder.run(arguments(other, tmp_path / "run"))
    assert ended.code == 0, ended.error
    assert "going on from" not in ended.output
    assert "epoch 1 " in ended.output


def test_a_bundle_of_others_is_not_written_over_unasked(builder: Builder, elsewhere: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    command = [*arguments(elsewhere, tmp_path / "run"), "--bundle", str(bundle)]
    refused = builder.run(command)
    assert refused.code == 2
    assert "exists, and this run did not write it; give --replace" in refused.error
    assert not (tmp_path / "run" / "merged").exists()  # before any work
    assert builder.run([*command, "--replace"]).code == 0
    assert builder.run(command).code == 0


def test_a_bundle_that_the_run_was_writing_anew_is_gone_on_with(
    builder: Builder, elsewhere: Path, tmp_path: Path
) -> None:
    command = [*arguments(elsewhere, tmp_path / "run"), "--bundle", str(tmp_path / "bundle")]
    assert builder.run(command).code == 0
    change(elsewhere, "calibration", ambiguity_margin=0.3)
    ended = builder.run(command, Point("os.rename", ".bundle.partial", "kill"))
    assert ended.code == -signal.SIGKILL
    ended = builder.run(command)
    assert ended.code == 0, ended.error
    assert read_manifest(tmp_path / "bundle").calibration.ambiguity_margin == 0.3


def test_a_run_that_wrote_one_bundle_writes_over_no_other_unasked(
    builder: Builder, elsewhere: Path, tmp_path: Path
) -> None:
    command = [*arguments(elsewhere, tmp_path / "run"), "--bundle"]
    assert builder.run([*command, str(tmp_path / "ours")]).code == 0
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "bundle.json").write_text("{}")
    refused = builder.run([*command, str(theirs)])
    assert refused.code == 2
    assert "exists, and this run did not write it; give --replace" in refused.error
    assert (theirs / "bundle.json").read_text() == "{}"


def test_a_run_that_trains_nothing_takes_no_folder_of_others(builder: Builder, elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "head").mkdir(parents=True)
    (folder / "head" / "thesis.txt").write_text("years of work")
    for more in ([], ["--restart"]):
        refused = builder.run([*arguments(elsewhere, folder), *more])
        assert refused.code == 2
        assert "mine: not empty and not a run of ours; choose another --output" in refused.error
    assert (folder / "head" / "thesis.txt").exists()


def test_a_restart_makes_anew_what_trains_nothing(builder: Builder, elsewhere: Path, tmp_path: Path) -> None:
    command = arguments(elsewhere, tmp_path / "run")
    builder.run(command)
    ended = builder.run([*command, "--restart"])
    assert ended.code == 0, ended.error
    assert ended.output.count("begins") == 3


def test_a_file_in_the_way_is_named(builder: Builder, elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        ended = builder.run(arguments(elsewhere, folder))
        assert ended.code == 2
        assert re.fullmatch(r"intently-build: .*/file\S*: Not a directory\n", ended.error)


@pytest.mark.parametrize(
    ("section", "changes", "says"),
    [
        ("adapter", {"base": "../nowhere"}, "neither a checkpoint (no config.json) nor a complete run"),
        ("adapter", {"folder": "../nowhere"}, "adapter_config.json: cannot read it"),
        ("adapter", {"head": "code-tokens", "code_tokens": ["a", "b"]}, "code_tokens: 2 tokens for 3 labels"),
        ("adapter", {"head": "code-tokens"}, "was trained with a head of its own; say head: trained"),
        ("data", {"notices": ["LICENCE"]}, "LICENCE: no such file; data or earlier_data of the recipe names it"),
        ("data", {"test": "train.jsonl"}, "72 of 72 test rows (100.0%) are training rows too"),
        ("data", {"labels": "gone.json"}, "gone.json: cannot read it"),
    ],
)
def test_what_does_not_fit_ends_with_one_line_before_any_work(
    builder: Builder, elsewhere: Path, tmp_path: Path, section: str, changes: dict[str, Any], says: str
) -> None:
    change(elsewhere, section, **changes)
    ended = builder.run(arguments(elsewhere, tmp_path / "run"))
    assert ended.code == 2
    assert ended.error.startswith("intently-build: ")
    assert ended.error.count("\n") == 1
    assert says in ended.error
    assert not (tmp_path / "run" / "merged").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"to": "gptq-int4", "samples": 16},
            ": 64 inputs cannot be divided into groups of 128; quantize.group_size 64 divides every layer",
        ),
        ({"to": "awq", "group_size": 16}, "quantize.group_size 16: must be one of 128, 64, 32"),
        ({"to": "int8"}, "quantize.samples: 128 asked for, and there are 72 different training rows"),
        ({"to": "int8", "samples": 16}, "llmcompressor is neither installed here nor in"),
    ],
)
def test_what_cannot_be_quantized_is_said_before_the_training(
    builder: Builder, recipe: Path, tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    lora = LORA | {"base": str(recipe.parents[1] / "base")}
    other = make_recipe(tmp_path / "recipe", adapt=lora, training=TRAINING, quantize=settings)
    ended = builder.run(arguments(other, tmp_path / "run"), INTENTLY_BUILD_ENV=str(tmp_path / "nowhere"))
    assert ended.code == 2
    assert says in ended.error
    assert ended.error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_label_that_the_label_set_lacks_stops_a_run_before_it_begins(
    builder: Builder, elsewhere: Path, tmp_path: Path
) -> None:
    with (elsewhere.parent / "train.jsonl").open("a") as file:
        file.write('{"text": "call home", "intent": "call"}\n')
    ended = builder.run(arguments(elsewhere, tmp_path / "run"))
    assert ended.code == 2
    assert ended.error.strip().endswith("train.jsonl: line 73: intent 'call' is not in the label set")
    assert not (tmp_path / "run").exists()


def test_a_recipe_can_be_the_base_of_another(builder: Builder, recipe: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "tiny")
    shutil.copytree(recipe.parent, tmp_path / "first")
    base = LORA | {"base": "../first/tiny.yaml"}
    second = make_recipe(tmp_path / "second", name="second", adapt=base, training=TRAINING | {"epochs": 1})
    missing = builder.run(["adapt", str(second), "--output", str(tmp_path / "other" / "second"), "--device", "cpu"])
    assert "is not built; run `intently-build run" in missing.error
    ended = builder.run(arguments(second, tmp_path / "second-run"))
    assert ended.code == 0, ended.error
    assert "[1/4] adapt" in ended.output  # the first has the code tokens already


def test_a_head_can_be_trained_on_an_untied_base(builder: Builder, tmp_path: Path) -> None:
    make_base(tmp_path / "base", tied=False)
    recipe = make_recipe(tmp_path / "recipe", adapt=LORA | {"head": "trained"}, training=TRAINING)
    ended = builder.run(["adapt", str(recipe), "--output", str(tmp_path / "run"), "--device", "cpu"])
    assert ended.code == 0, ended.error
    assert not (tmp_path / "run" / "merged").exists()
    ended = builder.run(arguments(recipe, tmp_path / "run"))
    assert ended.code == 0, ended.error
    assert "[1/4] adapt: done before" in ended.output
    record = read_record(tmp_path / "run" / "adapter" / RECORD)
    assert record
    assert record.proof["validation_accuracy"] > 0.5  # of three intents


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lora": {"target_modules": ["q_prj"]}}, "adapt.lora.target_modules: .* has no module 'q_prj'"),
        ({"lora": {"modules_to_save": ["lm_head"]}}, "embeddings and head of .* are one matrix"),
        (
            {"lora": {"quantized_base": True}},
            "needs bitsandbytes, which is not installed here; `make build-env` installs it in .*/bin/intently-build$",
        ),
    ],
)
def test_lora_that_does_not_fit_ends_with_one_line(
    builder: Builder, recipe: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    settings = LORA | {"base": str(recipe.parents[1] / "base")} | changes
    other = make_recipe(tmp_path / "recipe", adapt=settings, training=TRAINING)
    ended = builder.run(["adapt", str(other), "--output", str(tmp_path / "run"), "--device", "cpu"])
    assert ended.code == 2
    assert re.search(says, ended.error)
    assert ended.error.count("\n") == 1
