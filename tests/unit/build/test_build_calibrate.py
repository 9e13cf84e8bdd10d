"""Calibrating a finished bundle anew: another revision of the same weights, fitted on rows that are no test rows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from intently.v1.revision import compute_revision
from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.rows import file_sha256
from support.tiny_build import make_base, make_recipe

SAID = {
    "timer": "begin the {} minute clock now",
    "weather": "is {} a cold place",
    "balance": "can i spend {} today",
}
NUMBERS = ("two", "four", "six", "nine", "eleven")


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in rows))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, and the bundle that it gave, in a folder beside the rows."""
    folder = tmp_path_factory.mktemp("made")
    make_base(folder / "base")
    published = {"checkpoint": "../base", "code_tokens": ["t", "w", "b"]}
    recipe = make_recipe(folder / "recipe", published=published)
    arguments = ["run", str(recipe), "--output", str(folder / "run"), "--bundle", str(folder / "recipe" / "bundle")]
    assert main([*arguments, "--device", "cpu"]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(made: Path) -> Path:
    return made / "recipe" / "bundle"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    said = [(text.format(number), intent) for number in NUMBERS for intent, text in SAID.items()]
    return write_rows(tmp_path / "ours.jsonl", said)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def calibrate(bundle: Path, output: Path, *more: object) -> int:
    return main(["calibrate", str(bundle), "--output", str(output), *map(str, more)])


def test_other_rows_make_another_revision_of_the_same_weights(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(bundle)
    output = tmp_path / "new"
    assert calibrate(bundle, output, "--rows", rows) == 0
    assert contents(bundle) == before
    assert verify(output, golden=True) == []
    former, manifest = read_manifest(bundle), read_manifest(output)
    assert manifest.revision == compute_revision(manifest) != former.revision
    assert manifest.calibration.out_of_scope_threshold != former.calibration.out_of_scope_threshold
    assert [point.name for point in manifest.calibration.operating_points] == ["keep-99"]
    assert manifest.calibration.operating_points[0].rule == "keeps 99 % of the in-scope calibration rows in scope"
    manifest.ClearField("calibration")
    former.ClearField("calibration")
    for each in (manifest, former):
        each.ClearField("revision")
        each.ClearField("golden_vectors")
    assert manifest == former
    after = contents(output)
    assert {name for name in before if before[name] != after[name]} == {"bundle.json", ".bundle.sha256"}
    assert "ECE on these rows 0." in capsys.readouterr().out


def test_the_manifest_says_what_it_was_fitted_on_and_how_well(bundle: Path, rows: Path, tmp_path: Path) -> None:
    assert calibrate(bundle, tmp_path / "new", "--rows", rows) == 0
    said = read_manifest(tmp_path / "new").calibration.fitted_on
    assert "on 15 in-scope calibration rows" in said
    assert f"Rows: ours.jsonl SHA-256 {file_sha256(rows)[:12]}" in said
    assert "ECE on these rows 0." in said
    assert f"Revision before: {read_manifest(bundle).revision[:12]}" in said


def test_a_recipe_gives_again_the_revision_that_it_was_packaged_with(made: Path, bundle: Path, tmp_path: Path) -> None:
    assert calibrate(bundle, tmp_path / "new", "--recipe", made / "recipe" / "tiny.yaml") == 0
    assert read_manifest(tmp_path / "new").revision == read_manifest(bundle).revision


def test_former_evaluations_are_left_out(bundle: Path, rows: Path, tmp_path: Path) -> None:
    measured = Path(shutil.copytree(bundle, tmp_path / "measured"))
    manifest = read_manifest(measured)
    manifest.evaluations.add(dataset="tiny", split="test", accuracy=0.5, engine="server", in_scope_rows=18)
    write_manifest(measured, manifest)
    assert calibrate(measured, tmp_path / "new", "--rows", rows) == 0
    assert not read_manifest(tmp_path / "new").evaluations


def test_run_again_it_does_nothing_and_other_rows_are_not_written_over_it(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new"
    assert calibrate(bundle, output, "--rows", rows) == 0
    before = (output / "bundle.json").stat().st_mtime_ns
    assert calibrate(bundle, output, "--rows", rows) == 0
    assert "lies there already" in capsys.readouterr().out
    assert (output / "bundle.json").stat().st_mtime_ns == before
    fewer = write_rows(tmp_path / "fewer.jsonl", [("is six a cold place", "weather"), ("begin now", "timer")])
    assert calibrate(bundle, output, "--rows", fewer) == 2
    assert "new: exists; give --replace to write it anew" in capsys.readouterr().err
    assert (output / "bundle.json").stat().st_mtime_ns == before
    assert calibrate(bundle, output, "--rows", fewer, "--replace") == 0
    assert "on 2 in-scope" in read_manifest(output).calibration.fitted_on
    assert {path.name for path in tmp_path.iterdir()} == {"new", "ours.jsonl", "fewer.jsonl"}


def test_rows_that_are_test_rows_too_are_left_out_when_asked(
    made: Path, bundle: Path, rows: Path, tmp_path: Path
) -> None:
    with rows.open("a") as file:
        file.write('{"text": "Set a  timer for ELEVEN minutes", "intent": "timer"}\n')
    arguments = ["--rows", rows, "--test", made / "recipe" / "test.jsonl", "--leave-out-test"]
    assert calibrate(bundle, tmp_path / "new", *arguments) == 0
    assert "on 15 in-scope calibration rows" in read_manifest(tmp_path / "new").calibration.fitted_on


def add_row(rows: Path, text: str, intent: str) -> None:
    with rows.open("a") as file:
        file.write(json.dumps({"text": text, "intent": intent}) + "\n")


def flip(bundle: Path) -> None:
    content = bytearray((bundle / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "model.safetensors").write_bytes(content)


def balance(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    manifest.calibration.operating_points.add(name="balanced", threshold=0.4)
    write_manifest(bundle, manifest)


def own_threshold(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    manifest.calibration.out_of_scope_threshold = 0.123
    manifest.revision = compute_revision(manifest)
    write_manifest(bundle, manifest)


def measured_on(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    digest = file_sha256(bundle.parent / "ours.jsonl")
    manifest.evaluations.add(dataset="tiny", split="test", engine="server", data_sha256=[digest])
    write_manifest(bundle, manifest)


def trained_on(bundle: Path, rows: Path) -> None:
    manifest = read_manifest(bundle)
    manifest.origin.data.add(name="tiny/ours.jsonl", license="CC0-1.0", attribution="us", sha256=file_sha256(rows))
    write_manifest(bundle, manifest)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            lambda _, rows: add_row(rows, "Set a  timer for ELEVEN minutes", "timer"),
            "ours.jsonl: 1 of 16 rows are test rows too; give other rows, or --leave-out-test",
        ),
        (
            lambda _, rows: add_row(rows, "call home", "call"),
            "ours.jsonl: line 16: intent 'call' is not in the label set",
        ),
        (
            lambda _, rows: add_row(rows, "Set a  timer for ONE minutes", "timer"),
            "ours.jsonl: 1 of 16 rows are training rows too; give other rows, or --leave-out-training",
        ),
        (lambda bundle, rows: trained_on(bundle, rows), "the bundle was trained on these very rows (tiny/ours.jsonl)"),
        (lambda _, rows: rows.write_text(""), "ours.jsonl: no rows"),
        (lambda _, rows: rows.unlink(), "ours.jsonl: cannot read it"),
        (lambda bundle, _: flip(bundle), "model.safetensors: its SHA-256 is"),
        (lambda bundle, _: (bundle / "bundle.json").unlink(), "no bundle.json in it; is it a bundle?"),
        (lambda bundle, _: balance(bundle), "no rows out of scope, which the operating point 'balanced' needs"),
        (lambda bundle, _: own_threshold(bundle), "its threshold is that of no operating point among keep-99"),
        (lambda bundle, _: measured_on(bundle), "evaluation on tiny test was measured on these very rows"),
    ],
)
def test_what_is_not_fit_is_one_line_and_leaves_nothing(
    made: Path,
    bundle: Path,
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path, Path], object],
    says: str,
) -> None:
    copied = Path(shutil.copytree(bundle, tmp_path / "copied"))
    harm(copied, rows)
    arguments = ["--rows", rows, "--test", made / "recipe" / "test.jsonl", "--train", made / "recipe" / "train.jsonl"]
    assert calibrate(copied, tmp_path / "new", *arguments) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"copied", "ours.jsonl"}


def test_a_bundle_is_not_calibrated_in_place(bundle: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(bundle)
    assert calibrate(bundle, bundle, "--rows", rows, "--replace") == 2
    assert "is the bundle itself; a new revision needs another folder" in capsys.readouterr().err
    assert contents(bundle) == before


def test_the_test_rows_of_the_bundles_own_recipe_are_found(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_row(rows, "set a timer for eleven minutes", "timer")
    assert calibrate(bundle, tmp_path / "new", "--rows", rows) == 2
    assert "1 of 16 rows are test rows too" in capsys.readouterr().err
    moved = Path(shutil.copytree(bundle, tmp_path / "moved"))
    assert calibrate(moved, tmp_path / "new", "--rows", rows) == 0
    said = capsys.readouterr().out
    assert "warning: no test rows to keep out of them were found; --test names them" in said
    assert "warning: no training rows to keep out of them were found; --train names them" in said


def test_the_training_rows_of_the_bundles_own_recipe_are_found(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_row(rows, "set a timer for one minutes", "timer")
    assert calibrate(bundle, tmp_path / "new", "--rows", rows) == 2
    assert "1 of 16 rows are training rows too" in capsys.readouterr().err
    assert calibrate(bundle, tmp_path / "new", "--rows", rows, "--leave-out-training") == 0
    assert "compared with 72 training rows, 1 left out" in capsys.readouterr().out
    assert "on 15 in-scope calibration rows" in read_manifest(tmp_path / "new").calibration.fitted_on


def test_validation_rows_that_a_set_repeats_stay_and_are_told(
    made: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Path(shutil.copytree(made / "recipe", tmp_path / "recipe")) / "tiny.yaml"
    add_row(recipe.with_name("validation.jsonl"), "set a timer for one minutes", "timer")
    assert calibrate(bundle, tmp_path / "new", "--recipe", recipe) == 0
    assert "1 are among them, and stay: the set is published so" in capsys.readouterr().out
    shutil.copyfile(recipe.with_name("train.jsonl"), recipe.with_name("validation.jsonl"))
    assert calibrate(bundle, tmp_path / "no", "--recipe", recipe) == 2
    assert "the bundle was trained on these very rows (tiny/train.jsonl)" in capsys.readouterr().err
