"""Rows and labels: read as they lie, and refused by file and line."""

import json
from pathlib import Path

import pytest

from intently_build.errors import BuildError
from intently_build.recipe import Data, OutOfScopeData
from intently_build.rows import Row, file_sha256, read_labels, read_split

LABELS = [
    {"intent": "oos", "description": "none"},
    {"intent": "b", "description": "to b"},
    {"intent": "a", "description": "to a"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    (tmp_path / "train.jsonl").write_text('{"text":"do b","intent":"b"}\n{"text":"do a","intent":"a"}\n')
    (tmp_path / "oos.jsonl").write_text('{"text":"hm","intent":"oos"}\n')
    return tmp_path


def data(**changes: object) -> Data:
    outside = OutOfScopeData(intent="oos", train="oos.jsonl", validation="oos.jsonl", test="oos.jsonl")
    usual: dict[str, object] = {
        "name": "toy",
        "folder": ".",
        "license": "CC0-1.0",
        "attribution": "us",
        "notices": ("LICENSE",),
        "labels": "labels.json",
        "train": "train.jsonl",
        "validation": "train.jsonl",
        "test": "train.jsonl",
        "out_of_scope": outside,
    }
    return Data.model_validate(usual | changes)


def test_the_out_of_scope_label_is_the_last_row(folder: Path) -> None:
    labels = read_labels(folder, data())
    assert labels.names == ("b", "a", "oos")
    assert [label.description for label in labels.intents] == ["to b", "to a"]


def test_rows_come_apart_by_scope_with_their_files(folder: Path) -> None:
    split = read_split(folder, data(), read_labels(folder, data()), "train")
    assert split.in_scope == (Row("do b", 0), Row("do a", 1))
    assert split.out_of_scope == (Row("hm", 2),)
    assert split.files == tuple((name, file_sha256(folder / name)) for name in ("train.jsonl", "oos.jsonl"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no rows"),
        ("{", "line 1: not JSON"),
        ('{"text":"x","intent":"b"}\n{"text":"x","intent":"c"}', "line 2: intent 'c' is not in the label set"),
        ('{"text":" ","intent":"b"}', "line 1: 'text' must be a text that is not empty"),
        ('{"intent":"b"}', "line 1: 'text' must be a text"),
        ('["x"]', "line 1: 'text' must be a text"),
    ],
)
def test_bad_rows_are_refused_by_file_and_line(folder: Path, content: str, says: str) -> None:
    labels = read_labels(folder, data())
    (folder / "train.jsonl").write_text(content)
    with pytest.raises(BuildError) as caught:
        read_split(folder, data(), labels, "train")
    assert "train.jsonl: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "must be a JSON list of labels"),
        ([*LABELS, LABELS[1]], "an intent is named twice"),
        (LABELS[1:], "no entry for data.out_of_scope.intent 'oos'"),
        (LABELS[:2], "1 intents; at least 2 are needed"),
        ([{"intent": "a"}], "entry 0: 'description' must be a text"),
    ],
)
def test_bad_labels_are_refused(folder: Path, content: object, says: str) -> None:
    (folder / "labels.json").write_text(json.dumps(content))
    with pytest.raises(BuildError) as caught:
        read_labels(folder, data())
    assert says in str(caught.value)


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.jsonl: cannot read it"):
        read_split(folder, data(train="gone.jsonl"), read_labels(folder, data()), "train")
