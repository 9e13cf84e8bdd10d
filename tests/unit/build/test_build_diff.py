"""The difference of two bundles: nothing is missed, and labels are told apart from their wording and their order."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_build.bundles.diff import BundleDiff, compare
from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.cli import main
from support.bundles import Manifest, copy_bundle
from support.paths import BUNDLE, ROOT

CHINESE = ROOT / "build_model" / "bundles" / "mini-massive-zh"
MANIFEST = read_manifest(BUNDLE)


def diff_of(edit: Callable[[Manifest], object]) -> BundleDiff:
    """What an edit changes."""
    after = Manifest()
    after.CopyFrom(MANIFEST)
    edit(after)
    return compare(MANIFEST, after)


def drop_first(manifest: Manifest) -> None:
    del manifest.label_set.intents[0]


def swap_first_two(manifest: Manifest) -> None:
    first, second = (Manifest().label_set.intents.add() for _ in range(2))
    first.CopyFrom(manifest.label_set.intents[0])
    second.CopyFrom(manifest.label_set.intents[1])
    manifest.label_set.intents[0].CopyFrom(second)
    manifest.label_set.intents[1].CopyFrom(first)


def test_a_bundle_does_not_differ_from_itself() -> None:
    assert compare(MANIFEST, MANIFEST).same


def test_labels_added_removed_renamed_reworded_and_moved() -> None:
    added = diff_of(lambda m: m.label_set.intents.add(name="new", description="something new"))
    assert (added.labels.added, added.labels.removed) == (("new",), ())
    removed = diff_of(drop_first).labels
    assert (removed.added, removed.removed, removed.moved) == ((), ("accept_reservations",), ())
    renamed = diff_of(lambda m: setattr(m.label_set.intents[0], "name", "take_reservations")).labels
    assert [(change.before, change.after) for change in renamed.renamed] == [
        ("accept_reservations", "take_reservations")
    ]
    assert (renamed.added, renamed.removed) == ((), ())
    reworded = diff_of(lambda m: setattr(m.label_set.intents[0], "description", "say yes")).labels
    assert [change.what for change in reworded.reworded] == ["accept_reservations"]
    assert diff_of(swap_first_two).labels.moved == ("accept_reservations", "account_blocked")


def test_a_name_and_its_wording_changed_together_is_another_label() -> None:
    def edit(manifest: Manifest) -> None:
        manifest.label_set.intents[0].name = "take_reservations"
        manifest.label_set.intents[0].description = "say yes"

    labels = diff_of(edit).labels
    assert (labels.added, labels.removed, labels.renamed) == (("take_reservations",), ("accept_reservations",), ())


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda m: setattr(m.prompt, "suffix", "?"), "prompt.suffix"),
        (lambda m: setattr(m.prompt.turns, "user_open", "?"), "prompt.turns.user_open"),
        (lambda m: setattr(m.calibration, "temperature", 2.0), "calibration.temperature"),
        (
            lambda m: setattr(m.calibration.operating_points[0], "threshold", 0.5),
            "calibration.operating_points[keep-99].threshold",
        ),
        (lambda m: setattr(m.quantization, "method", "fp8"), "quantization.method"),
        (lambda m: setattr(m, "revision", "0" * 64), "revision"),
        (lambda m: m.head.code_token_ids.pop(), "head.code_token_ids"),
        (lambda m: m.origin.tools.__setitem__("torch", "1"), "origin.tools.torch"),
        (lambda m: setattr(m.origin.data[0], "license", "MIT"), "origin.data[clinc150/train.jsonl].license"),
        (lambda m: m.label_set.ClearField("out_of_scope"), "label_set.out_of_scope.name"),
    ],
)
def test_a_changed_field_is_named(edit: Callable[[Manifest], object], what: str) -> None:
    difference = diff_of(edit)
    assert what in [change.what for change in difference.fields]
    assert not difference.same


def test_figures_differ_by_how_much() -> None:
    difference = diff_of(lambda m: setattr(m.evaluations[0], "accuracy", m.evaluations[0].accuracy - 0.01))
    (change,) = difference.evaluations
    assert change.what.endswith(": accuracy")
    assert change.what.startswith("clinc150 test, ")
    assert change.difference == pytest.approx(-0.01)


def test_an_evaluation_that_one_side_lacks_is_told() -> None:
    difference = diff_of(lambda m: m.evaluations.add(dataset="other", split="test", accuracy=0.5))
    assert [(change.before, change.after) for change in difference.evaluations] == [(None, 0.5)]


def test_files_and_sizes() -> None:
    difference = diff_of(lambda m: setattr(m.files[1], "size", m.files[1].size - 1000))
    assert [change.what for change in difference.files] == ["model.safetensors"]
    assert difference.bytes.difference == -1000


@given(st.data())
def test_no_changed_golden_vector_is_missed(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(MANIFEST.golden_vectors) - 1))
    assert not diff_of(lambda m: m.golden_vectors[number].token_ids.append(1)).same


def test_exit_codes_are_those_of_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(BUNDLE), str(BUNDLE)]) == 0
    assert capsys.readouterr().out == "no difference\n"
    copied = copy_bundle(BUNDLE, tmp_path / "bundle")
    manifest = read_manifest(copied)
    manifest.label_set.intents[0].description = "[bold]say yes[/]"
    write_manifest(copied, manifest)
    assert main(["diff", str(BUNDLE), str(copied)]) == 1
    assert "[bold]say yes[/]" in capsys.readouterr().out
    assert main(["diff", str(BUNDLE), str(tmp_path)]) == 2
    assert main(["diff", "--json", str(BUNDLE), str(CHINESE)]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["same"] is False
    assert len(content["labels"]["added"]) + len(content["labels"]["removed"]) > 100
