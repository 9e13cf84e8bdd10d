"""The same base and adapter are the same bundle, byte for byte, whatever version of transformers wrote the configs."""

import json
from pathlib import Path

import pytest
from transformers import configuration_utils
from transformers.generation import configuration_utils as generation_utils

from intently_build.bundles.manifest import read_manifest
from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.rows import file_sha256
from intently_build.steps.step import RECORD
from support.tiny_build import make_adapter, make_base, make_recipe


def built(recipe: Path, run: Path) -> dict[str, bytes]:
    """Builds the recipe. Returns the bundle's files, by name."""
    assert main(["run", str(recipe), "--output", str(run), "--device", "cpu"]) == 0
    bundle = run / "bundle"
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def age(folder: Path) -> None:
    """Makes the result of a step what it was when configs named transformers, and records no version of the step."""
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"transformers_version": "5.0.0"}))
    record = json.loads((folder / RECORD).read_text())
    record["outputs"]["config.json"] = file_sha256(config)
    del record["identity"]["version"]
    (folder / RECORD).write_text(json.dumps(record))


def test_another_version_packages_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    base = make_base(tmp_path / "base", codes=3)
    make_adapter(base, tmp_path / "adapter")
    recipe = make_recipe(tmp_path / "recipe", adapter={"base": "../base", "folder": "../adapter"})
    first = built(recipe, tmp_path / "first")
    for module in (configuration_utils, generation_utils):
        monkeypatch.setattr(module, "__version__", "9.9.9")
    assert built(recipe, tmp_path / "second") == first
    assert "transformers_version" not in json.loads(first["config.json"])
    assert verify(tmp_path / "first" / "bundle") == []
    assert read_manifest(tmp_path / "first" / "bundle").origin.tools["transformers"] != "9.9.9"

    for step in ("merged", "head"):
        age(tmp_path / "second" / step)
    capsys.readouterr()
    assert built(recipe, tmp_path / "second") == first
    said = capsys.readouterr().out
    assert "merge: made anew, since another version of this command made it" in said
    assert "head: made anew, since another version of this command made it" in said
