"""The cost matrix: what its files may hold, what is refused, and the mean."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_build.calibration import Floats
from intently_build.errors import BuildError
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.costs import mean_cost, read_costs
from intently_build.evaluation.scoring import score
from unit.build.eval_figures import CALIBRATION, NAMES, OUTSIDE, ROWS, answers, scale

INTENTS = ("pay", "refund")


def read(folder: Path, name: str, text: str) -> Floats:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_costs(path, INTENTS, "oos")


def test_a_csv_matrix_is_put_into_the_heads_order(tmp_path: Path) -> None:
    text = "\ufeffright,oos,refund,pay\nrefund,1,0,5\noos,0,2,3.5\npay,4,-1,0\n"
    assert read(tmp_path, "costs.csv", text).tolist() == [[0, -1, 4], [5, 0, 1], [3.5, 2, 0]]


def test_json_names_what_is_not_the_default(tmp_path: Path) -> None:
    text = json.dumps({"default": 1, "costs": {"pay": {"refund": 9, "pay": -2}, "out_of_scope": {"pay": 4}}})
    assert read(tmp_path, "costs.json", text).tolist() == [[-2, 9, 1], [1, 0, 1], [4, 1, 0]]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("costs.txt", "", "must be a file .csv or .json"),
        ("costs.csv", "", "no costs"),
        ("costs.csv", ",pay,refund\npay,0,1\nrefund,1,0\n", "no row for 'oos'"),
        ("costs.csv", ",pay,refund,oos\npay,0,1,1\nrefund,1,0,1\n", "no row for 'oos'"),
        ("costs.csv", ",pay,refund,oos\npay,0,1,1\nrefund,1,0,1\noos,1,1\n", "row 'oos' has 2 costs"),
        ("costs.csv", ",pay,refund,oos\npay,0,1,1\nrefund,1,,1\noos,1,1,0\n", "column 'refund': '' is not a number"),
        ("costs.csv", ",pay,refund,oos\npay,0,nan,1\nrefund,1,0,1\noos,1,1,0\n", "'nan' is not a number"),
        ("costs.csv", ",pay,pay,oos\npay,0,1,1\nrefund,1,0,1\noos,1,1,0\n", "a column stands there twice"),
        ("costs.csv", ",pay,buy,oos\npay,0,1,1\nbuy,1,0,1\noos,1,1,0\n", "'buy' is no label of the bundle"),
        ("costs.json", "{", "not JSON"),
        ("costs.json", '{"costs": {}}', "default: Field required"),
        ("costs.json", '{"default": 1, "costs": {"buy": {"pay": 1}}}', "'buy' is no label"),
        ("costs.json", '{"default": 1, "cost": {}, "costs": {}}', "cost: Extra inputs"),
        ("costs.json", '{"default": NaN, "costs": {}}', "default: Input should be a finite number"),
    ],
)
def test_a_matrix_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(BuildError) as refused:
        read(tmp_path, name, text)
    assert says in str(refused.value)
    assert str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.json: cannot read the costs"):
        read_costs(tmp_path / "gone.json", INTENTS, None)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30), st.integers(0, 2**32))
def test_the_mean_is_over_all_rows(rows: list[tuple[int, int]], seed: int) -> None:
    costs = np.random.default_rng(seed).normal(size=(3, 3))
    right, decided = (np.array(column) for column in zip(*rows, strict=True))
    expected = sum(costs[row, column] for row, column in rows) / len(rows)
    assert mean_cost(costs, right, decided) == pytest.approx(expected)


def test_what_is_decided_is_the_first_prediction_below_the_threshold() -> None:
    given_answers = Answers(np.array([1, 0, 1]), np.full(3, 0.5), np.array([0.2, 0.5, 0.6]))
    assert given_answers.decisions(0.5, intents=2).tolist() == [1, 2, 2]


def test_costs_that_count_mistakes_give_their_share() -> None:
    labels = len(NAMES) + 1
    quality = score(scale(1 - np.eye(labels)), answers(30), CALIBRATION)
    [point] = quality.points
    assert point.out_of_scope_recall is not None
    mistakes = ROWS * (1 - point.in_scope_accuracy) + OUTSIDE * (1 - point.out_of_scope_recall)
    assert quality.mean_cost == pytest.approx(mistakes / (ROWS + OUTSIDE))
    assert score(scale(), answers(30), CALIBRATION).mean_cost is None
