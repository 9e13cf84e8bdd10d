"""Which rows a bundle is asked about, what the command line refuses, and which bundles stand side by side."""

import json
from pathlib import Path

import pytest
import yaml

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import write_manifest
from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.evaluation.candidate import Candidate, read_candidates
from intently_build.evaluation.dataset import Source, check_same_rows, read_dataset

ROWS = [("a card", "card"), ("what", "none"), ("pay it", "pay"), ("huh", "out_of_scope")]
DATA = {
    "name": "toys",
    "folder": "rows",
    "license": "CC0-1.0",
    "attribution": "nobody",
    "notices": ["LICENSE"],
    "labels": "labels.json",
    "train": "train.jsonl",
    "validation": "validation.jsonl",
    "test": "test.jsonl",
}


@pytest.fixture
def manifest() -> bundle_pb2.BundleManifest:
    intents = [bundle_pb2.Intent(name=name) for name in ("pay", "card")]
    label_set = bundle_pb2.LabelSet(intents=intents, out_of_scope=bundle_pb2.Intent(name="none"))
    origin = bundle_pb2.Origin(recipe=yaml.safe_dump({"kind": "of another sort", "data": DATA}))
    return bundle_pb2.BundleManifest(name="toy", label_set=label_set, origin=origin)


@pytest.fixture
def bundle(tmp_path: Path, manifest: bundle_pb2.BundleManifest) -> Path:
    """A bundle of which there is but the manifest, with the folder of its rows where its recipe says."""
    rows = tmp_path / "rows"
    rows.mkdir()
    labels = [{"intent": name, "description": f"about {name}"} for name in ("pay", "card")]
    (rows / "labels.json").write_text(json.dumps(labels))
    write_rows(rows / "test.jsonl", ROWS[:1])
    folder = tmp_path / "toy"
    folder.mkdir()
    write_manifest(folder, manifest)
    return folder


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in rows))
    return path


def test_of_the_recipe_only_the_section_data_is_read(bundle: Path, manifest: bundle_pb2.BundleManifest) -> None:
    dataset = read_dataset(bundle, manifest, Source())
    assert (dataset.name, dataset.split, dataset.texts, dataset.right.tolist()) == ("toys", "test", ["a card"], [1])


def test_another_recipe_names_rows_relative_to_itself(bundle: Path, manifest: bundle_pb2.BundleManifest) -> None:
    recipe = bundle.parent / "rows" / "other.yaml"
    recipe.write_text(yaml.safe_dump({"data": DATA | {"folder": ".", "name": "others"}}))
    manifest.origin.recipe = ""
    with pytest.raises(BuildError, match="has no section data, which names the rows; give one that has with --recipe"):
        read_dataset(bundle, manifest, Source())
    assert read_dataset(bundle, manifest, Source(recipe=recipe)).name == "others"


def test_a_file_of_rows_may_mix_what_is_in_and_out_of_scope(
    tmp_path: Path, manifest: bundle_pb2.BundleManifest
) -> None:
    dataset = read_dataset(tmp_path, manifest, Source(rows=write_rows(tmp_path / "held.jsonl", ROWS)))
    assert (dataset.name, dataset.split) == ("held", "rows")
    assert dataset.texts == ["a card", "pay it", "what", "huh"]
    assert dataset.right.tolist() == [1, 0]
    assert len(dataset.digests) == 1


def test_what_cannot_be_asked_is_one_line_without_an_utterance(
    bundle: Path, manifest: bundle_pb2.BundleManifest
) -> None:
    rows, labels = bundle.parent / "held.jsonl", bundle.parent / "rows" / "labels.json"
    cases = (
        (lambda: write_rows(rows, ROWS[1:2]), Source(rows=rows), "all rows are out of scope"),
        (lambda: write_rows(rows, [("a secret", "call")]), Source(rows=rows), "line 1: intent 'call' is not in"),
        (
            lambda: labels.write_text(labels.read_text().replace("pay", "buy")),
            Source(),
            "not the intents of the bundle",
        ),
        (lambda: None, Source(folder=bundle / "gone"), "no such folder; say where the rows are with --data"),
        (lambda: None, Source(recipe=bundle / "gone"), "cannot read the recipe"),
    )
    for prepare, source, says in cases:
        prepare()
        with pytest.raises(BuildError) as refused:
            read_dataset(bundle, manifest, source)
        assert says in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "a secret" not in str(refused.value)


def test_bundles_with_other_rows_do_not_stand_side_by_side(tmp_path: Path, manifest: bundle_pb2.BundleManifest) -> None:
    first, other = (
        (tmp_path / name, read_dataset(tmp_path, manifest, Source(rows=write_rows(tmp_path / name, rows))))
        for name, rows in (("a", ROWS), ("b", ROWS[:3]))
    )
    check_same_rows(first, first)
    with pytest.raises(BuildError, match=r"/a and .*/b cannot stand side by side: their rows differ"):
        check_same_rows(first, other)


def test_the_reference_comes_first_and_names_are_unique(tmp_path: Path, manifest: bundle_pb2.BundleManifest) -> None:
    folders = [tmp_path / part for part in ("old/toy", "new/toy", "third")]
    for folder in folders:
        folder.mkdir(parents=True)
        write_manifest(folder, manifest)
    assert [each.folder for each in read_candidates(folders, None)] == folders
    assert [each.name for each in read_candidates(folders, None)] == [str(folders[0]), str(folders[1]), "third"]
    assert [each.folder for each in read_candidates(folders[:2], folders[1])] == [folders[1], folders[0]]
    assert [each.folder for each in read_candidates(folders[:1], folders[2])] == [folders[2], folders[0]]
    with pytest.raises(BuildError, match="named twice"):
        read_candidates([folders[0], folders[2], folders[0] / ".." / "toy"], None)


@pytest.mark.parametrize(
    ("method", "bits", "group", "says"),
    [("none", 16, 0, "bfloat16"), ("gptq", 4, 128, "gptq 4 bits, groups of 128"), ("int8", 8, 0, "int8 8 bits")],
)
def test_how_weights_are_stored_is_said_in_words(method: str, bits: int, group: int, says: str) -> None:
    stored = bundle_pb2.Quantization(method=method, bits=bits, group_size=group, dtype="bfloat16")
    assert Candidate("toy", Path(), bundle_pb2.BundleManifest(quantization=stored)).format == says


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--gate-accuracy", "1"], "--gate-accuracy: there is nothing to compare one bundle with"),
        (["other", "--gate-macro-f1", "-1"], "--gate-macro-f1 -1: must be at least 0"),
        (["other", "--gate-accuracy", "nan"], "--gate-accuracy nan: must be at least 0"),
        (["--in-scope-loss", "100"], "--in-scope-loss 100: must be from 0"),
        (["--rows", "a.jsonl", "--data", "."], "leave out --data and --recipe"),
        (["--report", "report.pdf"], "must end in .html"),
        (["--report", "/dev/null/report.html"], "cannot make its folder"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "gone", *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
