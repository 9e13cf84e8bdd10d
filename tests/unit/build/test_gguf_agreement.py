"""The proof of an export: how answers are counted, and which rows they are answers to."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from intently_build.errors import BuildError
from intently_build.gguf_export.agreement import Agreement, compare
from intently_build.gguf_export.answers import Answers, read_answers
from intently_build.gguf_export.classification import read_classification
from intently_build.gguf_export.gguf_type import find_type
from intently_build.gguf_export.job import ExportJob, read_export_job
from intently_build.gguf_export.llama import shared_tokens
from support.paths import BUNDLE
from support.tiny_build import make_recipe

CODES = (10, 11, 12)
IDS = [[1, 2], [1, 3], [1, 4]]
WANTED = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
RIGHT = [0, 1, 1]


def answers(greedy: tuple[int, ...], logits: NDArray[np.float64], last: tuple[int, ...] = (1, 4)) -> Answers:
    return Answers(((1, 2), (1, 3), last), greedy, logits, ("a", "b", "c"))


def test_the_same_answers_agree_wholly() -> None:
    found = compare(IDS, WANTED, answers((10, 11, 12), WANTED), CODES, RIGHT)
    assert found == Agreement(rows=3, same_tokens=3, same_answers=3, right=2, right_before=2, worst=0.0, mean=0.0)


def test_each_difference_is_counted() -> None:
    logits = WANTED.copy()
    logits[2] = (0.0, 2.0, 0.0)
    found = compare(IDS, WANTED, answers((10, 7, 11), logits, last=(1, 5)), CODES, RIGHT)
    assert (found.same_tokens, found.same_answers) == (2, 1)  # 7 is no label's token
    assert (found.right, found.right_before) == (2, 2)
    assert found.worst == pytest.approx((np.e**2 - 1) / (np.e**2 + 2))
    assert found.to_json()["same_answers"] == 1


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(BuildError, match="some logits are not finite"):
        compare(IDS, WANTED, answers((10, 11, 12), WANTED * np.nan), CODES, RIGHT)


def test_a_bundle_says_what_it_is_asked() -> None:
    found = read_classification(BUNDLE, None, 200)
    assert (found.name, len(found.labels), len(found.codes)) == ("mini-clinc150", 151, 151)
    assert (found.labels[0], found.codes[0]) == ("accept_reservations", "<|code_000|>")
    assert len(found.rows) == 200
    assert len({row.label for row in found.rows}) > 100  # from all of the file, which is sorted by nothing
    assert 150 in {row.label for row in found.rows}  # out of scope too


def test_no_rows_are_read_where_nothing_is_proved(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, adapter={"base": "base", "folder": "adapter"})
    (tmp_path / "validation.jsonl").unlink()
    assert read_classification(tmp_path, recipe, 0).rows == ()
    with pytest.raises(BuildError, match=r"validation\.jsonl: cannot read it"):
        read_classification(tmp_path, recipe, 1)


def test_all_rows_are_taken_where_there_are_fewer(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, adapter={"base": "base", "folder": "adapter"})
    assert len(read_classification(tmp_path, recipe, 1000).rows) == 18


def test_a_trained_head_has_no_tokens_to_answer_with(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, adapter={"base": "base", "folder": "adapter", "head": "trained"})
    with pytest.raises(BuildError, match="its head was trained, so no token stands for a label"):
        read_classification(tmp_path, recipe, 0)


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    answers((10, 7, 11), WANTED).write(tmp_path / "answers.json")
    found = read_answers(tmp_path / "answers.json")
    assert compare(IDS, WANTED, found, CODES, RIGHT).same_answers == 1
    assert found.printed == ("a", "b", "c")


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = ExportJob("answer", tmp_path, tmp_path / "x.gguf", tmp_path, "q8_0", "toy", CODES, ("héllo\n",), 65)
    job.write(tmp_path / "job.json")
    assert read_export_job(tmp_path / "job.json") == job
    assert job.form == "gguf q8_0"


@pytest.mark.parametrize(
    ("before", "ids", "shared"),
    [([], [1, 2], 0), ([1, 2, 3], [1, 2, 4], 2), ([1, 2, 3], [1, 2, 3], 2), ([1], [1, 2], 1), ([5], [1], 0)],
)
def test_what_two_prompts_share_leaves_a_token_to_compute(before: list[int], ids: list[int], shared: int) -> None:
    assert shared_tokens(before, ids) == shared


def test_fewer_bits_may_agree_less() -> None:
    assert find_type("q4_k_m").least_agreement < find_type("q8_0").least_agreement == find_type("f16").least_agreement
