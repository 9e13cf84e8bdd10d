"""Recipes: what is wrong is named, and what the training depends on has a fingerprint."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from intently_build.bundles.manifest import read_manifest
from intently_build.errors import BuildError
from intently_build.quantizing.formats import FORMATS
from intently_build.recipe import (
    AdapterRecipe,
    AdaptRecipe,
    DistillRecipe,
    Quantize,
    ScratchRecipe,
    is_pretraining,
    load_pretraining,
    load_recipe,
    parse_recipe,
    read_yaml,
    recipe_name,
)

RECIPES = Path(__file__).parents[3] / "build_model" / "recipes"


@pytest.fixture
def content() -> dict[str, Any]:
    loaded = yaml.safe_load((RECIPES / "clinc150-scratch.yaml").read_text(encoding="utf-8"))
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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name: a\ndata: {}\nname: b\n",
            "my.yaml: line 3: the key name stands here again, after line 1; leave one out",
        ),
        ("data:\n  folder: a\n  folder: b\n", "my.yaml: line 3: the key folder stands here again, after line 2"),
        ("golden:\n- text: a\n- text: b\n  text: c\n", "my.yaml: line 4: the key text stands here again, after line 3"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(BuildError, match=f"^{re.escape(says)}"):
        parse_recipe(text, "my.yaml")


def test_what_another_mapping_gives_may_be_overruled() -> None:
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", "my.yaml")["b"] == {"x": 3, "y": 2}


def test_text_that_is_no_yaml_is_refused_in_one_line() -> None:
    with pytest.raises(BuildError, match=r"^my\.yaml: not YAML: [^\n]+$"):
        parse_recipe("name: [a, b", "my.yaml")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.yaml: cannot read the recipe"):
        load_recipe(tmp_path / "gone.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_valid(path: Path) -> None:
    assert recipe_name(path) == path.stem
    if is_pretraining(path):
        sources = load_pretraining(path).pretrain.sources
        assert all((RECIPES / source.folder / name).is_file() for source in sources for name in source.train)
    else:
        recipe, _ = load_recipe(path)
        assert (RECIPES / recipe.data.folder / recipe.data.train).is_file()


def test_the_fingerprint_changes_with_the_training_and_not_with_the_calibration(content: dict[str, Any]) -> None:
    def fingerprint(text: str) -> str:
        recipe = parse_recipe(text, "a")
        assert isinstance(recipe, ScratchRecipe)
        return recipe.training_fingerprint()

    first = fingerprint(yaml.safe_dump(content))
    assert first == fingerprint(changed(content, "calibration.ambiguity_margin", 0.3))
    assert first == fingerprint(changed(content, "data.repeated_test_rows", 0.5))
    assert first != fingerprint(changed(content, "training.seed", 99))


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("mini-banking77", "3ebfdf3400f310db6fa5caa9dbd632a5e67208516aba1d2a0183909b0e4c7823"),
        ("mini-clinc150", "ca564f3acb685806b844cf5c85807522f2bae97cb1ed541bc45743645a7def73"),
        ("mini-massive-zh", "b5b7e32fc819eaf56b1c540e70672696087a52160e3295489c146496618078ab"),
    ],
)
def test_a_bundles_recipe_is_read_as_it_was_when_it_was_trained(name: str, fingerprint: str) -> None:
    manifest = read_manifest(RECIPES.parent / "bundles" / name)
    recipe = parse_recipe(manifest.origin.recipe, name)
    assert isinstance(recipe, DistillRecipe)
    assert recipe.training_fingerprint() == fingerprint
    assert sorted(each.split()[0] for each in manifest.origin.teachers) == sorted([*recipe.distill.teachers, "n-grams"])


def without(content: dict[str, Any], *sections: str) -> dict[str, Any]:
    return {key: section for key, section in content.items() if key not in sections}


def test_a_recipe_says_how_its_model_comes_to_be(content: dict[str, Any]) -> None:
    adapted = without(content, "tokenizer", "model") | {"adapt": {"base": "../base", "lora": {"r": 8}}}
    given = without(content, "tokenizer", "model", "training") | {"adapter": {"base": "../base", "folder": "../lora"}}
    assert isinstance(parse_recipe(yaml.safe_dump(content), "a"), ScratchRecipe)
    assert isinstance(parse_recipe(yaml.safe_dump(given), "a"), AdapterRecipe)
    recipe = parse_recipe(yaml.safe_dump(adapted), "a")
    assert isinstance(recipe, AdaptRecipe)
    assert recipe.adapt.lora.alpha == 32
    adapted["adapt"]["lora"]["r"] = 4
    other = parse_recipe(yaml.safe_dump(adapted), "a")
    assert isinstance(other, AdaptRecipe)
    assert other.training_fingerprint() != recipe.training_fingerprint()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"adapt": {"base": "b"}}, "model: Extra inputs are not permitted; tokenizer: Extra inputs are not permitted"),
        ({"adapter": {"base": "b", "folder": "a"}}, "training: Extra inputs are not permitted"),
        ({"quantize": {"to": "int3"}}, "quantize.to: Input should be 'gptq-int4'"),
        ({"quantize": {"to": "int8", "bits": 8}}, "quantize.bits: Extra inputs are not permitted"),
        (
            {"evaluate": {"gate": {"accuracy": -1}}},
            "evaluate.gate.accuracy: Input should be greater than or equal to 0",
        ),
    ],
)
def test_sections_that_do_not_belong_are_refused(content: dict[str, Any], more: dict[str, Any], says: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_recipe(yaml.safe_dump(content | more), "my.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("distill", "sections", "says"),
    [
        ({}, {}, "distill: Value error, teachers: none; name a bundle or a recipe"),
        ({"teachers": ["t"], "student": "s"}, {}, "the student: give tokenizer and model, or distill.student"),
        ({"ngrams": 0.5, "states": 1.0}, {}, "states: hidden states are those of one teacher"),
        ({"teachers": ["t"], "temperature": 0}, {}, "distill.temperature: Input should be greater than 0"),
        (
            {"teachers": ["t"], "alter": {"unit": "byte"}},
            {},
            "distill.alter.unit: Input should be 'word' or 'character'",
        ),
        ({"teachers": ["t"]}, {"model": None}, "the student: give tokenizer and model, or distill.student"),
    ],
)
def test_what_is_wrong_in_a_distillation_is_named(
    content: dict[str, Any], distill: dict[str, Any], sections: dict[str, Any], says: str
) -> None:
    with pytest.raises(BuildError) as caught:
        parse_recipe(yaml.safe_dump(content | {"distill": distill} | sections), "my.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("adapt", "says"),
    [
        ({"lora": {}}, "adapt.base: Field required"),
        ({"base": "b", "lora": {"r": 0}}, "adapt.lora.r: Input should be greater than 0"),
        ({"base": "b", "lora": {"target_modules": []}}, "adapt.lora.target_modules: Tuple should have at least 1 item"),
        ({"base": "b", "lora": {"dropot": 0.1}}, "adapt.lora.dropot: Extra inputs are not permitted"),
        ({"base": "b", "head": "trained"}, "training.utterance_loss: a trained head has no language-model head"),
        ({"base": "b", "head": "trained", "new_tokens": ["<|x|>"]}, "new_tokens: they are learnt with the code tokens"),
    ],
)
def test_what_is_wrong_in_an_adaptation_is_named(content: dict[str, Any], adapt: dict[str, Any], says: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_recipe(yaml.safe_dump(without(content, "tokenizer", "model") | {"adapt": adapt}), "my.yaml")
    assert says in str(caught.value)


def test_a_recipe_can_quantize_to_every_format_there_is() -> None:
    assert set(get_args(Quantize.model_fields["to"].annotation)) == set(FORMATS)
