"""How well bundles do on the rows that are no training rows, where these are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from intently.v1 import bundle_pb2
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.candidate import Candidate
from intently_build.evaluation.dataset import Dataset, Source, read_dataset
from intently_build.evaluation.figures import NewRows
from intently_build.evaluation.new_rows import new_rows, training_texts
from support.tiny_build import make_recipe


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """A bundle of which there is but the manifest, beside the rows of its recipe."""
    recipe = make_recipe(tmp_path)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps({"text": "SET a timer for one  minutes", "intent": "timer"}) + "\n")
    intents = [bundle_pb2.Intent(name=name) for name in ("timer", "weather", "balance")]
    origin = bundle_pb2.Origin(recipe=yaml.safe_dump({"data": yaml.safe_load(recipe.read_text())["data"]}))
    manifest = bundle_pb2.BundleManifest(label_set=bundle_pb2.LabelSet(intents=intents), origin=origin)
    return Candidate("toy", tmp_path / "bundle", manifest)


def asked(candidate: Candidate) -> Dataset:
    return read_dataset(candidate.folder, candidate.manifest, Source())


def wrong(dataset: Dataset, *places: int) -> Answers:
    intents = dataset.right.copy()
    intents[list(places)] += 1
    sure = np.ones(len(intents))
    return Answers(intents, sure, sure - 1)


def test_accuracy_on_new_rows_leaves_out_those_that_training_repeats(candidate: Candidate) -> None:
    dataset, training = asked(candidate), training_texts(candidate, Source())
    assert training is not None
    assert len(training) == 72
    answers = {"one": wrong(dataset, 18), "other": wrong(dataset, 0, 3, 18)}  # 18 is the repeated row
    assert new_rows(dataset, training, answers) == NewRows(18, 1, {"one": 1.0, "other": 16 / 18})


def test_nothing_is_said_where_training_rows_are_not_at_hand_or_all_rows_are_learnt(candidate: Candidate) -> None:
    dataset = asked(candidate)
    (candidate.folder.parent / "train.jsonl").unlink()
    assert training_texts(candidate, Source()) is None
    assert new_rows(dataset, None, {}) is None
    assert new_rows(dataset, dataset.texts, {}) is None
