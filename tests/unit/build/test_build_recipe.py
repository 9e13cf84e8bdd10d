"""Recipes: what is wrong is named, and what the training depends on has a fingerprint."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from intently_build.errors import BuildError
from intently_build.recipe import load_recipe, parse_recipe

RECIPES = Path(__file__).parents[3] / "build_model" / "recipes"


@pytest.fixture
def content() -> dict[str, Any]:
    loaded = yaml.safe_load((RECIPES / "mini-clinc150.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def changed(content: dict[str, Any], key: str, value: object) -> str:
    *path, last = key.split(".")
    section = content
    for name in path:
        section = section[name]
    section[last] = value
    return yaml.safe_dump(content)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("training.epochs", 0, "training.epochs: Input should be greater than 0"),
        ("training.epoch", 3, "training.epoch: Extra inputs are not permitted"),
        ("model.hidden_size", 100, "model.hidden_size: Input should be a multiple of 64"),
        ("model.heads", 16, "model: Value error, hidden_size / heads must be 32 or 64"),
        ("name", "Mini", "name: String should match pattern"),
        ("languages", [], "languages: Tuple should have at least 1 item"),
        ("training.noise.context", 1.5, "training.noise.context: Input should be less than 1"),
        ("calibration.operating_points", ["keep-99"], "is not in operating_points"),
        ("calibration.operating_points", ["keep-50"], "calibration.operating_points.0: Input should be"),
        ("data.out_of_scope", None, "'balanced' needs data.out_of_scope"),
        ("prompt.prefix", "", "prompt.prefix: String should have at least 1 character"),
        ("golden", [{"text": "hi", "contxt": []}], "golden.0.contxt: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(content: dict[str, Any], key: str, value: object, says: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_recipe(changed(content, key, value), "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_problems_are_named_at_once(content: dict[str, Any]) -> None:
    del content["tokenizer"]
    with pytest.raises(BuildError, match=r"tokenizer: Field required.*training\.seed: Input should be a valid integer"):
        parse_recipe(changed(content, "training.seed", "x"), "my.yaml")


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]"])
def test_a_recipe_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match=r"my\.yaml: the recipe: "):
        parse_recipe(text, "my.yaml")


def test_text_that_is_no_yaml_is_refused_in_one_line() -> None:
    with pytest.raises(BuildError, match=r"^my\.yaml: not YAML: [^\n]+$"):
        parse_recipe("name: [a, b", "my.yaml")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.yaml: cannot read the recipe"):
        load_recipe(tmp_path / "gone.yaml")


@pytest.mark.parametrize("name", ["mini-clinc150", "mini-massive-zh"])
def test_the_recipes_of_the_repository_are_valid(name: str) -> None:
    recipe, _ = load_recipe(RECIPES / f"{name}.yaml")
    assert recipe.name == name
    assert (RECIPES / recipe.data.folder / recipe.data.train).is_file()


def test_the_fingerprint_changes_with_the_training_and_not_with_the_calibration(content: dict[str, Any]) -> None:
    first = parse_recipe(yaml.safe_dump(content), "a").training_fingerprint()
    same = parse_recipe(changed(content, "calibration.ambiguity_margin", 0.3), "a").training_fingerprint()
    other = parse_recipe(changed(content, "training.seed", 99), "a").training_fingerprint()
    assert first == same
    assert first != other
