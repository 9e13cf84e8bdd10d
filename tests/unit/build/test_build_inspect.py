"""The page about a bundle: labels by domain, prompt, calibration, weights, evaluations, origin, files; and its JSON."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.cli import main
from support.bundles import copy_bundle
from support.paths import BUNDLE, ROOT

CHINESE = ROOT / "build_model" / "bundles" / "mini-massive-zh"


def test_the_page_says_what_the_bundle_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    manifest = read_manifest(BUNDLE)
    assert main(["inspect", str(BUNDLE)]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for words in (
        manifest.name,
        manifest.revision,
        "150 intents in 10 domains",
        "banking (15)",
        f"temperature {manifest.calibration.temperature:.4f}",
        "none: 16 bits; the rest in bfloat16",
        f"{manifest.origin.parameters:,} in the causal model",
        f"{manifest.evaluations[0].accuracy:.2%}",
        "CC-BY-3.0",
        "trained from scratch",
        "notices/LICENSE",
        f"teacher {manifest.origin.teachers[0]}",
        "transformers ",
    ):
        assert words in page


def test_every_label_stands_in_its_domain() -> None:
    assert json_of(BUNDLE)["computed"]["domains"]["banking"][0] == "account_blocked"  # type: ignore[index]
    manifest = read_manifest(CHINESE)
    domains = json_of(CHINESE)["computed"]["domains"]  # type: ignore[index]
    assert [(domain, name) for domain in domains for name in domains[domain]] == sorted(
        ((intent.domain, intent.name) for intent in manifest.label_set.intents),
        key=lambda pair: list(domains).index(pair[0]),
    )


def json_of(bundle: Path) -> dict[str, object]:
    """What `inspect --json` prints."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["inspect", "--json", str(bundle)]) == 0
    content = json.loads(out.getvalue())
    assert isinstance(content, dict)
    return content


def test_the_prompt_is_counted_by_the_bundles_tokenizer() -> None:
    manifest = read_manifest(CHINESE)
    tokenizer = Tokenizer.from_file(str(CHINESE / "tokenizer.json"))
    prefix = len(tokenizer.encode(manifest.prompt.prefix, add_special_tokens=False).ids)
    prompt = json_of(CHINESE)["computed"]["prompt"]  # type: ignore[index]
    assert prompt["prefix"] == prefix
    assert prompt["room"] + prompt["around"] + prefix == prompt["limit"] == 1024
    assert prompt["shortest"] >= prefix + prompt["around"] + 1


def test_what_a_manifest_says_is_plain_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = copy_bundle(BUNDLE, tmp_path / "bundle")
    manifest = read_manifest(copied)
    manifest.origin.adapter = "[bold]by[/] [link=x]"
    write_manifest(copied, manifest)
    assert main(["inspect", str(copied)]) == 0
    assert "[bold]by[/] [link=x]" in capsys.readouterr().out


def test_a_broken_tokenizer_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = copy_bundle(BUNDLE, tmp_path / "bundle")
    (copied / "tokenizer.json").write_text("{}")
    assert main(["inspect", str(copied)]) == 2
    assert "tokenizer.json: is no tokenizer" in capsys.readouterr().err
