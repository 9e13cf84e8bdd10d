"""From texts to a base, from the base to a teacher, from the teacher to a student: `intently-build run`, on a CPU."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from intently_build.bundles.manifest import read_manifest
from intently_build.cli import main
from intently_build.distilling.teach import PROBABILITIES, STATES
from support.tiny_build import make_recipe, rows

TRAINING = {"epochs": 2, "batch_size": 24, "learning_rate": 0.003}
SIZES = {
    "tokenizer": {"vocab_size": 280},
    "model": {"hidden_size": 64, "intermediate_size": 128, "layers": 1, "heads": 2, "kv_heads": 1},
}


def made(recipe: Path, output: Path, *flags: str) -> int:
    """Builds the recipe into `output` on the CPU. Returns the exit code."""
    return main(["run", str(recipe), "--output", str(output), "--device", "cpu", *flags])


def pretraining(folder: Path) -> Path:
    """Writes the recipe of a base that reads the rows in `folder`. Returns its path."""
    source = {"folder": ".", "labels": "labels.json", "train": ["train.jsonl"], "validation": ["validation.jsonl"]}
    layout = {"utterance_open": "<|utterance|>", "suffix": "<|intent|>", "close": "<|im_end|>"}
    content = {"name": "base", "pretrain": {"sources": [source], **layout}, "training": TRAINING, **SIZES}
    path = folder / "base.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipes in `recipes`, and in `runs` a base and a teacher that was made of it."""
    folder = tmp_path_factory.mktemp("distill")
    teacher = make_recipe(
        folder / "recipes", name="teacher", adapt={"base": "base.yaml", "lora": {"r": 4}}, training=TRAINING
    )
    teacher = teacher.rename(teacher.with_name("teacher.yaml"))
    pretraining(teacher.parent)
    assert made(teacher, folder / "runs/teacher") == 0  # and the base before it
    return folder


def student(folder: Path, name: str, distill: dict[str, Any], **sections: Any) -> Path:
    """Writes the recipe of a student. Returns its path."""
    path = make_recipe(folder / "recipes", name=name, distill=distill, training=TRAINING, **sections)
    return path.rename(path.with_name(f"{name}.yaml"))


def test_a_base_is_chosen_by_its_loss_on_the_validation_texts(built: Path) -> None:
    record = json.loads((built / "runs/base/model/training.json").read_text())
    assert 0 < record["validation_loss"] < np.log(300)
    assert record["parameters"] == json.loads((built / "runs/base/model/step.json").read_text())["proof"]["parameters"]


def test_a_student_learns_from_its_teachers(built: Path) -> None:
    (built / "recipes/more.jsonl").write_text('{"text": "how cold is it"}\n{"text": "stop the timer"}\n')
    alter = {"copies": 3}
    distill = {"teachers": ["teacher.yaml"], "ngrams": 0.5, "unlabelled": ["more.jsonl"], "alter": alter}
    earlier = {"name": "others", "folder": ".", "license": "CC0-1.0", "attribution": "them", "notices": ["LICENSE"]}
    recipe = student(built, "student", distill, earlier_data=[earlier | {"train": ["more.jsonl"]}], **SIZES)
    run = built / "runs/student"
    assert made(recipe, run) == 0
    taught = np.load(run / "teaching" / PROBABILITIES)
    texts = len(rows(slice(0, 8)))
    assert taught.shape == ((texts + 2) * 4, 3)
    assert np.allclose(taught.sum(axis=1), 1, atol=2e-3)
    manifest = read_manifest(run / "bundle")
    assert [teacher.split()[0] for teacher in manifest.origin.teachers] == ["teacher.yaml", "n-grams"]
    assert read_manifest(built / "runs/teacher/bundle").revision in manifest.origin.teachers[0]
    assert [source.name for source in manifest.origin.data] == ["tiny/train.jsonl", "others/more.jsonl"]
    assert (run / "bundle/notices/others.LICENSE").read_text() == "CC0\n"
    proof = json.loads((run / "teaching/step.json").read_text())["proof"]["validation_accuracy"]
    assert proof["n-grams"] > 0.9
    assert made(recipe, run) == 0  # done before


def test_a_student_may_begin_with_a_checkpoint_and_learn_hidden_states(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distill = {"teachers": ["../runs/teacher/bundle"], "student": "base.yaml", "states": 1.0, "temperature": 2.0}
    run = built / "runs/begun"
    assert made(student(built, "begun", distill), run) == 0
    states = np.load(run / "teaching" / STATES)
    assert states.shape == (len(rows(slice(0, 8))), 64)
    assert read_manifest(run / "bundle").origin.base_model == "base.yaml"
    assert "together: validation accuracy" in capsys.readouterr().out


def test_a_teacher_with_other_labels_is_refused_before_anything_is_asked(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = student(built, "other", {"teachers": ["../runs/teacher/bundle"]}, **SIZES)
    labels = json.loads((recipe.parent / "labels.json").read_text())
    (recipe.parent / "fewer.json").write_text(json.dumps([{**labels[0], "intent": "alarm"}, *labels]))
    content = yaml.safe_load(recipe.read_text())
    content["data"]["labels"] = "fewer.json"
    recipe.write_text(yaml.safe_dump(content))
    assert made(recipe, built / "runs/other") == 2
    assert "has 3 labels, the student 4; one side has no 'alarm'" in capsys.readouterr().err
    assert not (built / "runs/other/teaching").exists()


def test_recipes_that_build_on_each_other_are_refused(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student(built, "one", {"teachers": ["two.yaml"]}, **SIZES)
    recipe = student(built, "two", {"teachers": ["one.yaml"]}, **SIZES)
    assert made(recipe, built / "runs/two") == 2
    assert "builds on" in capsys.readouterr().err


def test_distilling_alone_names_a_teacher_that_is_not_built(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (built / "recipes/teacher.yaml").read_text()
    (built / "recipes/nobody.yaml").write_text(text.replace("name: teacher", "name: nobody"))
    recipe = student(built, "waiting", {"teachers": ["nobody.yaml"]}, **SIZES)
    assert main(["distill", str(recipe), "--output", str(built / "runs/waiting"), "--device", "cpu"]) == 2
    assert "its teacher nobody.yaml is not built; run `intently-build run" in capsys.readouterr().err


def test_the_recipe_of_a_base_makes_no_bundle(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", str(built / "recipes/base.yaml"), "--run", str(built), "--output", str(built / "no")]) == 2
    assert "makes a base and no bundle; use `intently-build pretrain" in capsys.readouterr().err


def test_a_base_of_a_changed_recipe_is_thrown_away_by_run_alone(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run = pretraining(built / "recipes"), tmp_path / "base"
    path = path.rename(path.with_name("changing.yaml"))
    pretraining(built / "recipes")
    assert made(path, run) == 0
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"training": content["training"] | {"seed": 7}}))
    before = (run / "model/training.json").read_bytes()
    assert main(["pretrain", str(path), "--output", str(run), "--device", "cpu"]) == 2
    assert "train with --restart" in capsys.readouterr().err
    assert (run / "model/training.json").read_bytes() == before
    assert made(path, run) == 0
    assert "thrown away" in capsys.readouterr().out
