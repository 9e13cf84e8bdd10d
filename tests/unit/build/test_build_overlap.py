"""Test rows that stand among the rows a model is made from are refused, but for as many as the recipe allows."""

import json
from pathlib import Path

import pytest
import yaml

from intently_build.errors import BuildError
from intently_build.recipe import load_recipe
from intently_build.training_data import read_checked_data, read_training_data
from support.tiny_build import make_recipe

MODEL = {"adapter": {"base": "base", "folder": "adapter"}}


def append(path: Path, texts: list[str]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"text": text, "intent": "timer"}) + "\n" for text in texts)


def test_rows_that_differ_pass(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    recipe, _ = load_recipe(path)
    assert read_checked_data(path, recipe) == read_training_data(path, recipe)


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("validation", "validation")])
def test_repeated_test_rows_are_counted_in_one_line(tmp_path: Path, split: str, name: str) -> None:
    path = make_recipe(tmp_path, **MODEL)
    append(tmp_path / f"{split}.jsonl", ["Set a  timer for ELEVEN minutes", "will it rain at twelve today"])
    with pytest.raises(BuildError) as caught:
        read_checked_data(path, load_recipe(path)[0])
    assert str(caught.value) == (
        f"data: 2 of 18 test rows (11.1%) are {name} rows too; take them out of the {name} rows, or, if the data set "
        "is published so, allow it with data.repeated_test_rows"
    )


def test_a_recipe_may_allow_what_a_data_set_repeats(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    append(tmp_path / "train.jsonl", ["set a timer for eleven minutes"])
    content = yaml.safe_load(path.read_text())
    content["data"]["repeated_test_rows"] = 0.06
    path.write_text(yaml.safe_dump(content))
    assert read_checked_data(path, load_recipe(path)[0]).labels.names == ("timer", "weather", "balance")


def test_a_recipe_without_test_rows_has_none_to_compare(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    content = yaml.safe_load(path.read_text())
    del content["data"]["test"]
    path.write_text(yaml.safe_dump(content))
    (tmp_path / "test.jsonl").unlink()
    assert len(read_checked_data(path, load_recipe(path)[0]).train.in_scope) == 72


def test_a_label_that_the_label_set_lacks_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = make_recipe(tmp_path, **MODEL)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write('{"text": "call home", "intent": "call"}\n')
    with pytest.raises(BuildError, match=r"test\.jsonl: line 19: intent 'call' is not in the label set$"):
        read_checked_data(path, load_recipe(path)[0])
