"""Test rows among what a model is made from: refused beyond what the recipe allows, left out, and told."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from intently_build.cli import main
from intently_build.distilling.corpus import corpus
from intently_build.errors import BuildError
from intently_build.overlap import HeldOut, Repeated
from intently_build.recipe import DistillRecipe, load_pretraining, load_recipe
from intently_build.steps.journal import Journal
from intently_build.training_data import TrainingData, read_training_data
from support.tiny_build import make_recipe

MODEL = {"adapter": {"base": "base", "folder": "adapter"}}
TRAINING = {"epochs": 1, "batch_size": 24, "learning_rate": 0.003}
SIZES = {
    "tokenizer": {"vocab_size": 280},
    "model": {"hidden_size": 64, "intermediate_size": 128, "layers": 1, "heads": 2, "kv_heads": 1},
}


def append(path: Path, texts: list[str]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"text": text, "intent": "timer"}) + "\n" for text in texts)


def read(path: Path) -> TrainingData:
    return read_training_data(path, load_recipe(path)[0])


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_rows_that_differ_pass(tmp_path: Path) -> None:
    assert read(make_recipe(tmp_path, **MODEL)).repeated == Repeated(18, 0, 0)


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("validation", "validation")])
def test_repeated_test_rows_are_counted_in_one_line(tmp_path: Path, split: str, name: str) -> None:
    path = make_recipe(tmp_path, **MODEL)
    append(tmp_path / f"{split}.jsonl", ["Set a  timer for ELEVEN minutes", "will it rain at twelve today"])
    with pytest.raises(BuildError) as caught:
        read(path)
    assert str(caught.value) == (
        f"data: 2 of 18 test rows (11.1%) are {name} rows too; take them out of the {name} rows, or, if the data set "
        "is published so, allow it with data.repeated_test_rows"
    )


def test_a_recipe_may_allow_what_a_data_set_repeats(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    append(tmp_path / "train.jsonl", ["set a timer for eleven minutes"])
    edit(path, lambda content: content["data"].update(repeated_test_rows=0.06))
    assert read(path).repeated == Repeated(18, 1, 0)
    assert len(read(path).train.in_scope) == 73


def test_a_recipe_without_test_rows_has_none_to_compare(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    edit(path, lambda content: content["data"].pop("test"))
    (tmp_path / "test.jsonl").unlink()
    assert len(read(path).train.in_scope) == 72
    assert read(path).repeated == Repeated(0, 0, 0)


def test_a_label_that_the_label_set_lacks_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write('{"text": "call home", "intent": "call"}\n')
    with pytest.raises(BuildError, match=r"test\.jsonl: line 19: intent 'call' is not in the label set$"):
        read(path)


@pytest.mark.parametrize(
    ("repeated", "says"),
    [
        (Repeated(0, 0, 0), "no test rows to compare the training rows with: the recipe names none"),
        (Repeated(18, 0, 0), ""),
        (
            Repeated(1487, 123, 30),
            "warning: of 1487 test rows, 123 are training rows too and 30 validation rows; the set",
        ),
    ],
)
def test_what_is_learnt_from_all_the_same_is_told(repeated: Repeated, says: str) -> None:
    said = io.StringIO()
    assert repeated.tell(Journal(Console(file=said)))["training"] == repeated.training
    assert says in said.getvalue()
    assert bool(said.getvalue()) == bool(says)


def test_rows_count_each_and_texts_once() -> None:
    held_out = HeldOut(["Hello there", "hello  THERE", "good day"])
    assert held_out.repeated_in(["hellothere", "bye"]) == 2
    assert held_out.without(["HELLO there", "bye"], str) == ["bye"]
    assert HeldOut().without(["bye"], str) == ["bye"]


def test_training_from_scratch_refuses_them_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_recipe(tmp_path / "recipe", training=TRAINING, **SIZES)
    append(path.parent / "train.jsonl", ["set a timer for eleven minutes"])
    assert main(["train", str(path), "--output", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert "1 of 18 test rows (5.6%) are training rows too" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_student_is_taught_no_test_rows(tmp_path: Path) -> None:
    """Neither those that stand in a file without labels, nor those that altering makes of other rows."""
    distill = {"ngrams": 0.5, "unlabelled": ["more.jsonl"], "alter": {"copies": 1}}
    path = make_recipe(tmp_path, distill=distill, training=TRAINING, **SIZES)
    append(tmp_path / "more.jsonl", ["how cold is it", "Will it RAIN at twelve today"])
    recipe = load_recipe(path)[0]
    assert isinstance(recipe, DistillRecipe)
    before = corpus(path, recipe, read(path))
    assert before.left_out == {"unlabelled": 1, "altered copies": 0}
    texts = [utterance.text for utterance in before.utterances]
    assert "how cold is it" in texts
    assert "Will it RAIN at twelve today" not in texts
    copy = next(text for text in texts[73:] if text not in texts[:73])
    append(tmp_path / "test.jsonl", [copy])
    after = corpus(path, recipe, read(path))
    assert after.left_out == {"unlabelled": 1, "altered copies": texts.count(copy)}
    assert after.utterances == [each for each in before.utterances if each.text != copy]


def test_a_base_reads_no_test_rows_and_says_how_many_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_recipe(tmp_path)
    append(tmp_path / "train.jsonl", ["set a timer for eleven minutes", "SET a timer for eleven minutes"])
    source = {"folder": ".", "labels": "labels.json", "train": ["train.jsonl"], "validation": ["validation.jsonl"]}
    layout = {"utterance_open": "<|utterance|>", "suffix": "<|intent|>", "close": "<|im_end|>"}
    content = {"name": "base", "pretrain": {"sources": [source], **layout}, "training": TRAINING, **SIZES}
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(content))
    before = load_pretraining(path).training_fingerprint()
    edit(path, lambda content: content["pretrain"].update(test=["test.jsonl"]))
    assert load_pretraining(path).training_fingerprint() == before
    run = tmp_path / "run"
    assert main(["pretrain", str(path), "--output", str(run), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "2 training and 0 validation texts are among 18 test rows and are left out" in said
    assert "72 texts" in said
    left_out = json.loads((run / "model/training.json").read_text())["left_out_test_rows"]
    assert left_out == {"test": 18, "train": 2, "validation": 0}
    append(tmp_path / "test.jsonl", ["start counting one minutes"])
    assert main(["pretrain", str(path), "--output", str(run), "--device", "cpu"]) == 2
    assert "train with --restart" in capsys.readouterr().err
    edit(path, lambda content: content["pretrain"].update(test=["gone.jsonl"]))
    assert main(["pretrain", str(path), "--output", str(run), "--device", "cpu"]) == 2
    assert "gone.jsonl: no such file; pretrain.test names it" in capsys.readouterr().err
