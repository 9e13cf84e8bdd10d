"""Answers kept on disk: they come back as they were, and what is damaged or another question's is not taken."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_build.errors import BuildError
from intently_build.evaluation.answering import Measured
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import Level, Performance
from intently_build.evaluation.store import AnswerStore, Question

NAMES = ("pay", "refund", "取消")
QUESTION = Question("toy", "ab" * 32, "intently-server vllm", 32, ("cd" * 32,))
SHARE = st.floats(0, 1)
ROW = st.tuples(st.integers(0, 2), SHARE, SHARE)


def measured(rows: list[tuple[int, float, float]], performance: Performance | None = None) -> Measured:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Measured(Answers(columns[0].astype(np.int64), columns[1], columns[2]), performance)


@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_answers_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float, float]]
) -> None:
    store = AnswerStore(tmp_path_factory.mktemp("kept"), NAMES)
    levels = (Level(1, 2, 0.5, 2.5, 3.5), Level(32, len(rows), 1.25, 3.5, 9.75))
    performance = Performance(32, len(rows), 1.25, 3.5, 9.75, 123, 456, levels, ("Using a Kernel",))
    store.save(QUESTION, measured(rows, performance))
    kept = store.load(QUESTION)
    assert kept is not None
    assert kept.performance == performance
    for field in dataclasses.fields(Answers):
        before = getattr(measured(rows).answers, field.name)
        assert getattr(kept.answers, field.name).tolist() == before.tolist()


@pytest.mark.parametrize(
    "change", [{"revision": "ef" * 32}, {"engine": "transformers"}, {"in_flight": 1}, {"data_sha256": ("00",)}]
)
def test_another_question_has_no_answers_yet(tmp_path: Path, change: dict[str, object]) -> None:
    store = AnswerStore(tmp_path, NAMES)
    store.save(QUESTION, measured([(0, 0.5, 0.5)]))
    assert store.load(dataclasses.replace(QUESTION, **change)) is None  # type: ignore[arg-type]
    kept = store.load(QUESTION)
    assert kept is not None
    assert kept.performance is None


def test_half_of_the_answers_is_not_taken_for_all(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path, NAMES)
    store.save(QUESTION, measured([(0, 0.5, 0.5), (1, 0.5, 0.5)]))
    [path] = tmp_path.glob("*/answers.jsonl")
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    with pytest.raises(BuildError, match=r"1 of 2 rows; delete the folder"):
        store.load(QUESTION)


def test_what_an_interrupt_left_is_written_anew(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path, NAMES)
    left = tmp_path / f".{QUESTION.folder}.partial"
    left.mkdir()
    (left / "answers.jsonl").write_text("{")
    assert store.load(QUESTION) is None
    store.save(QUESTION, measured([(2, 0.5, 0.5)]))
    assert store.load(QUESTION) is not None
    assert [path.name for path in tmp_path.iterdir()] == [QUESTION.folder]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot keep the answers"):
        AnswerStore(tmp_path / "file", NAMES).save(QUESTION, measured([(0, 0.5, 0.5)]))
