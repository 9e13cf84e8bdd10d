"""A distillation that is run again after something changed, moved or went: never the old model under a new name."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from intently_build.adapting.checkpoint import weight_files
from intently_build.bundles.manifest import read_manifest
from intently_build.cli import main
from intently_build.rows import file_sha256
from support.stopped_build import Builder, Point
from support.tiny_build import make_recipe

TRAINING = {"epochs": 2, "batch_size": 36, "learning_rate": 0.003}
SIZES = {
    "tokenizer": {"vocab_size": 280},
    "model": {"hidden_size": 64, "intermediate_size": 128, "layers": 1, "heads": 2, "kv_heads": 1},
}
NO_COPIES = {"copies": 0}


def made(recipe: Path, run: Path, *flags: str) -> int:
    """Builds the recipe into `run` on the CPU. Returns the exit code."""
    return main(["run", str(recipe), "--output", str(run), "--device", "cpu", *flags])


def recipe(folder: Path, name: str, **sections: Any) -> Path:
    """Writes a recipe beside the others. Returns its path."""
    path = make_recipe(folder / "recipes", name=name, training=TRAINING, **SIZES, **sections)
    return path.rename(path.with_name(f"{name}.yaml"))


def weights(run: Path) -> str:
    """Returns the digest of the model that a run ended with."""
    (file,) = weight_files(run / "model")
    return file_sha256(file)


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    builder = Builder()
    yield builder
    builder.close()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher in it: its recipe in `recipes`, its run in `runs`."""
    folder = tmp_path_factory.mktemp("again")
    assert made(recipe(folder, "teacher"), folder / "runs/teacher") == 0
    return folder


def test_other_unlabelled_texts_make_another_student(teacher: Path) -> None:
    more = teacher / "recipes/more.jsonl"
    more.write_text('{"text": "how cold is it"}\n')
    distill = {"teachers": ["teacher.yaml"], "unlabelled": ["more.jsonl"], "alter": NO_COPIES}
    path, run = recipe(teacher, "more", distill=distill), teacher / "runs/more"
    assert made(path, run) == 0
    first = weights(run)
    more.write_text("".join(json.dumps({"text": f"is it {n} degrees"}) + "\n" for n in range(40)))
    assert made(path, run) == 0
    assert weights(run) != first


def test_a_run_that_was_moved_ends_with_the_best_weights(teacher: Path) -> None:
    path, run = teacher / "recipes/teacher.yaml", teacher / "runs/here"
    assert made(path, run) == 0
    first, moved = weights(run), teacher / "runs/there"
    run.rename(moved)
    shutil.rmtree(moved / "model")
    assert made(path, moved) == 0
    assert weights(moved) == first


def test_the_best_checkpoint_must_be_there(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, run = teacher / "recipes/teacher.yaml", teacher / "runs/lost"
    assert made(path, run) == 0
    for state in sorted((run / "checkpoints").glob("*/trainer_state.json")):
        content = json.loads(state.read_text())
        state.write_text(json.dumps(content | {"best_global_step": 1}))
    shutil.rmtree(run / "model")
    assert made(path, run) == 2
    assert "checkpoint-1: the best checkpoint of the training is gone; train with --restart" in capsys.readouterr().err


def test_a_teacher_whose_recipe_changed_is_run_again(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master = recipe(teacher, "master")
    student = recipe(teacher, "pupil", distill={"teachers": ["master.yaml"], "alter": NO_COPIES})
    run = teacher / "runs/pupil"
    assert made(student, run) == 0
    (known,) = read_manifest(run / "bundle").origin.teachers
    content = yaml.safe_load(master.read_text())
    content["training"]["seed"] = 7
    master.write_text(yaml.safe_dump(content))
    capsys.readouterr()
    assert made(student, run) == 0
    assert f"{student} builds on {master.resolve()}, which is run first" in capsys.readouterr().out
    (now,) = read_manifest(run / "bundle").origin.teachers
    assert now != known


def test_a_student_outlives_its_teachers_run(teacher: Path) -> None:
    recipe(teacher, "gone")
    student = recipe(teacher, "orphan", distill={"teachers": ["gone.yaml"], "alter": NO_COPIES})
    run = teacher / "runs/orphan"
    assert made(student, run) == 0
    before = read_manifest(run / "bundle")
    shutil.rmtree(teacher / "runs/gone")
    shutil.rmtree(run / "bundle")
    assert made(student, run) == 0
    assert not (teacher / "runs/gone").exists()
    assert read_manifest(run / "bundle") == before


def test_test_rows_are_no_unlabelled_texts(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = (teacher / "recipes/test.jsonl").read_text()
    (teacher / "recipes/leak.jsonl").write_text(test.upper().replace('"TEXT"', '"text"'))
    distill = {"teachers": ["teacher.yaml"], "unlabelled": ["leak.jsonl"], "alter": NO_COPIES}
    assert made(recipe(teacher, "leaky", distill=distill), teacher / "runs/leaky") == 2
    assert "leak.jsonl: all 18 unlabelled utterances are test rows; give others" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["kill", "interrupt", "full disk"])
@pytest.mark.parametrize(("step", "place"), [("teaching", "step.json"), ("model", "training.json")])
def test_a_stopped_distillation_leaves_nothing_and_goes_on(
    builder: Builder, teacher: Path, tmp_path: Path, step: str, place: str, how: Any
) -> None:
    path = recipe(teacher, "stopped", distill={"teachers": ["../runs/teacher/bundle"], "alter": NO_COPIES})
    _stop_and_go_on(builder, path, tmp_path, Point("open", f".{step}.partial/{place}", how), step)


@pytest.mark.parametrize("how", ["kill", "interrupt", "full disk"])
def test_a_stopped_pretraining_leaves_nothing_and_goes_on(
    builder: Builder, teacher: Path, tmp_path: Path, how: Any
) -> None:
    source = {"folder": ".", "labels": "labels.json", "train": ["train.jsonl"], "validation": ["validation.jsonl"]}
    layout = {"utterance_open": "<|utterance|>", "suffix": "<|intent|>", "close": "<|im_end|>"}
    content = {"name": "base", "pretrain": {"sources": [source], **layout}, "training": TRAINING, **SIZES}
    path = teacher / "recipes/base.yaml"
    path.write_text(yaml.safe_dump(content))
    _stop_and_go_on(builder, path, tmp_path, Point("open", ".model.partial/config.json", how), "model")


def _stop_and_go_on(builder: Builder, path: Path, folder: Path, point: Point, step: str) -> None:
    run = folder / "run"
    arguments = ["run", str(path), "--output", str(run), "--device", "cpu"]
    ended = builder.run(arguments, point)
    if point.how == "kill":
        assert ended.code == -signal.SIGKILL
    else:
        assert ended.code == {"interrupt": 130, "full disk": 2}[point.how], ended.error
        assert "\n" not in ended.error.strip()
        assert not [left for left in run.iterdir() if left.name.endswith(".partial")]
    assert not (run / step).exists()
    ended = builder.run(arguments)
    assert ended.code == 0, ended.error
    assert (run / "model/step.json").exists()


def test_what_can_be_seen_before_the_training_is_said_before(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = {"name": "a", "folder": ".", "license": "CC0-1.0", "attribution": "us", "notices": ["LICENSE"]}
    path = recipe(teacher, "typo", earlier_data=[earlier | {"train": ["trian.jsonl"]}])
    assert made(path, teacher / "runs/typo") == 2
    assert "trian.jsonl: no such file" in capsys.readouterr().err
    assert not (teacher / "runs/typo/model").exists()
