"""The example of a published checkpoint with an adapter from elsewhere: what it says is what is read."""

import json
from pathlib import Path

import yaml

from intently_build.pipeline import load_build
from intently_build.recipe import AdapterRecipe, load_recipe
from support.paths import ROOT
from support.tiny_build import make_adapter, make_base

EXAMPLE = ROOT / "build_model" / "recipes" / "banking77-7b-adapter.yaml"


def test_the_example_goes_from_an_adapter_to_gptq() -> None:
    recipe, _ = load_recipe(EXAMPLE)
    assert isinstance(recipe, AdapterRecipe)
    assert recipe.adapter.head == "trained"
    assert recipe.quantize
    assert recipe.quantize.to == "gptq-int4"


def test_the_example_fits_an_adapter_as_others_write_it(tmp_path: Path) -> None:
    base = make_base(tmp_path / "Qwen2.5-7B-Instruct", tied=False)  # the same layers, small
    adapter = make_adapter(base, tmp_path / "lora", labels=77)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "revision": "master"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    content["adapter"] |= {"base": str(base), "folder": str(adapter)}
    content["data"]["folder"] = str(ROOT / "build_model" / "data" / "banking77")
    del content["quantize"]  # its groups are for a 7B
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(content))
    build = load_build(path, tmp_path / "run")
    build.check()
    assert len(build.data.labels.names) == 77
