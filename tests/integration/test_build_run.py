"""`intently-build run`: every step of a recipe, stopped in each of them, gone on with, and the same in the end."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundle import read_manifest
from intently_build.steps.step import RECORD, read_record
from support.stopped_build import Builder, Point
from support.tiny_build import make_base, make_recipe

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
    assert manifest.origin.base_model == "../base"
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


@pytest.mark.parametrize("how", ["interrupt", "full disk"])
@pytest.mark.parametrize("step", STEPS[2:])
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
    shutil.copyfile(run / "run.json", folder / "run.json")
    ended = builder.run(arguments(recipe, folder), Point("open", f".{step}.partial/config.json", how))
    line = ended.error.strip()
    if how == "interrupt":
        assert (ended.code, line) == (130, "intently-build: stopped; run it again to go on")
    else:
        assert ended.code == 2
        assert line.startswith(f"intently-build: {folder / step}: the disk is full")
        assert line.endswith("make room and run it again")
    assert "\n" not in line
    assert not (folder / step).exists()
    assert not [path for path in folder.iterdir() if path.name.endswith(".partial")]
