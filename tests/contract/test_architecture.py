"""ARCHITECTURE.md names the layers that import-linter holds the code to."""

import re
import tomllib

import pytest

from support.paths import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LAYERS = {each["name"]: each["layers"] for each in SETTINGS["contracts"] if each["type"] == "layers"}


@pytest.mark.parametrize(
    ("contract", "top"), [("The server's layers", "main"), ("The release tool's layers", "commands")]
)
def test_the_layers_are_those_that_are_checked(contract: str, top: str) -> None:
    named = re.search(rf"^`({top} > [^`]+)`", TEXT, re.MULTILINE)
    assert named is not None
    shown = [set(re.split(r",\s*", layer)) for layer in re.split(r"\s*>\s*", named.group(1).strip())]
    assert shown == [set(re.findall(r"\w+", layer)) for layer in LAYERS[contract]]
