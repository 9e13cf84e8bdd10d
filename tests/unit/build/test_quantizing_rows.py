"""Calibration rows: the same for the same seed, never test rows, laid out as they will be served."""

import json
from pathlib import Path

import pytest

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.quantizing.calibration_rows import choose, read_texts, without_test_rows
from intently_build.rows import file_sha256
from support.tiny_build import make_recipe
from unit.build.toy_checkpoint import write_toy


def rows(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps({"text": text, "intent": "x"}) + "\n" for text in texts))
    return path


def test_a_row_that_is_tested_too_is_refused_whatever_its_capitals_and_spaces(tmp_path: Path) -> None:
    test = rows(tmp_path / "test.jsonl", "what is the  weather")
    with pytest.raises(BuildError, match=r"train\.jsonl: 1 of 2 calibration rows are test rows too.*--leave-out-test"):
        without_test_rows(["What is the weather", "hello"], tmp_path / "train.jsonl", [test], leave_out=False)


def test_such_rows_are_left_out_when_asked(tmp_path: Path) -> None:
    test = rows(tmp_path / "test.jsonl", "hello")
    assert without_test_rows(["Hello", "good day"], tmp_path, [test], leave_out=True) == ["good day"]


def test_rows_are_chosen_by_the_seed(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(50)]
    first = choose(texts, 10, 3, tmp_path)
    assert first == choose(texts, 10, 3, tmp_path)
    assert first != choose(texts, 10, 4, tmp_path)
    assert len(set(first)) == 10


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="2 different calibration rows, --samples 3 asked for"):
        choose(["a", "b", "a"], 3, 0, tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [("{", "not JSON"), ('{"text": " "}', "'text' must be a text"), ("[]", "'text' must be a text")],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "hello"}}\n{line}\n')
    with pytest.raises(BuildError, match=rf"rows\.jsonl: line 2: .*{says}"):
        read_texts(path)


def test_no_rows_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(BuildError, match="no rows"):
        read_texts(tmp_path / "empty.jsonl")
    with pytest.raises(BuildError, match="cannot read the rows"):
        read_texts(tmp_path / "gone.jsonl")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A toy with a manifest that names its recipe, which lies with its rows in the same folder."""
    recipe = make_recipe(tmp_path / "made", published={"checkpoint": "toy", "code_tokens": ["a", "b", "c"]})
    folder = write_toy(tmp_path / "made" / "bundle")
    write_manifest(folder, bundle_pb2.BundleManifest(origin=bundle_pb2.Origin(recipe=recipe.read_text())))
    return folder


def refused(bundle: Path, calibration: Path, capsys: pytest.CaptureFixture[str]) -> str:
    arguments = ["--to", "int8", "--calibration", str(calibration), "--samples", "4"]
    output = bundle.with_name("new")
    assert main(["quantize", str(bundle), *arguments, "--output", str(output)]) == 2
    assert not output.exists()
    return capsys.readouterr().err.strip()


def test_a_bundles_own_test_rows_are_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = bundle.with_name("test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "ours.jsonl").write_text("".join(lines[:6]))
    line = refused(bundle, tmp_path / "ours.jsonl", capsys)
    assert line.endswith("--leave-out-test to go on without these")
    assert "ours.jsonl: 6 of 6 calibration rows are test rows too" in line


def test_a_file_that_a_bundle_was_measured_on_is_refused_wherever_it_lies(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = rows(tmp_path / "held-out.jsonl", *(f"row {number}" for number in range(6)))
    manifest = read_manifest(bundle)
    manifest.evaluations.add(dataset="held-out", split="rows", data_sha256=[file_sha256(theirs)])
    write_manifest(bundle, manifest)
    line = refused(bundle, theirs, capsys)
    assert "held-out.jsonl: the bundle's evaluation on held-out rows was measured on these very rows" in line
