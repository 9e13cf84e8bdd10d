"""docs/kubernetes.md: its commands work, and what it names is there."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from intently_release.commands.main import run
from support.kustomized import BUILT, FOLDER
from support.manifests import Manifests, invalid
from support.paths import ROOT

DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
KUBECTL = shutil.which("kubectl")


def commands(program: str) -> list[list[str]]:
    """The commands in the document that begin so, as words."""
    lines = (line.strip() for line in DOCUMENT.splitlines() if line.startswith("    "))
    return [shlex.split(line.partition(" | ")[0]) for line in lines if line.startswith(program)]


@pytest.mark.envoy
def test_the_documents_renderings_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = commands(".venv/bin/intently-release")
    assert said
    for words in said:
        assert run([str(tmp_path) if word == "rendered" else word for word in words[1:]]) == 0


@pytest.mark.envoy
@pytest.mark.skipif(KUBECTL is None, reason="needs kubectl")
def test_the_documents_config_map_is_what_is_mounted(tmp_path: Path) -> None:
    assert run(["render", "--config", str(FOLDER / "release.yaml"), "--out", str(tmp_path / "rendered")]) == 0
    said = [words for words in commands("kubectl") if "configmap" in words]
    assert len(said) == 2
    for words in said:
        done = subprocess.run([str(KUBECTL), *words[1:]], cwd=tmp_path, capture_output=True, check=True, timeout=60)
        made = yaml.safe_load(done.stdout)
        assert invalid(made, "1.37") == ""
        assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("intently-envoy", "intently")
        assert set(made["data"]) == {path.name for path in (tmp_path / "rendered").iterdir()}


def test_the_document_names_what_there_is() -> None:
    manifests = Manifests(FOLDER / "base")
    for words in commands("kubectl"):
        for word in words:
            kind, _, name = word.partition("/")
            if kind in ("deployment", "service"):
                manifests.one(kind.title(), name)
    [label] = {words[words.index("-l") + 1] for words in commands("kubectl") if "-l" in words}
    pods = manifests.one("Deployment", "intently-envoy")["spec"]["template"]["metadata"]["labels"]
    assert label.split("=") in [list(pair) for pair in pods.items()]
    overlays = {folder.name for folder in BUILT} - {"base"}
    assert set(re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT, re.MULTILINE)) == overlays
