"""A model that tells intents no better than a guess is not packaged in silence."""

from pathlib import Path

import numpy as np
import pytest

from intently_build.chance import AgainstChance, against_chance
from intently_build.cli import main
from intently_build.fitting import ValidationLogits
from intently_build.steps.step import RECORD, read_record
from support.tiny_build import make_base, make_recipe


@pytest.mark.parametrize(
    ("rows", "right", "guess", "better"),
    [
        (3000, 20, 1 / 150, False),  # what a guess gets
        (3000, 30, 1 / 150, False),  # what a lucky one gets
        (3000, 40, 1 / 150, True),
        (18, 10, 1 / 3, False),
        (18, 12, 1 / 3, True),
        (100, 90, 0.9, False),  # always the same answer
        (100, 97, 0.9, True),
        (5, 5, 1.0, False),  # rows of one intent tell nothing
        (1, 1, 1.0, False),
    ],
)
def test_a_model_is_held_against_a_guess(rows: int, right: int, guess: float, better: bool) -> None:
    assert AgainstChance(rows, right, guess).better is better


def test_right_answers_are_counted_among_the_intents_alone() -> None:
    labels = np.array([0, 0, 0, 1])
    in_scope = np.array([[1.0, 0, 9], [0, 1, 9], [2, 1, 0], [0, 2, 1]])  # the last column is out of scope
    found = against_chance(ValidationLogits(in_scope, labels, np.zeros((0, 3)), 2))
    assert found == AgainstChance(4, 3, 0.75)


def test_what_knows_nothing_is_packaged_only_if_it_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_base(tmp_path / "base")
    sections = {"published": {"checkpoint": "../base", "code_tokens": ["t", "w", "b"]}}
    recipe = make_recipe(tmp_path / "recipe", **sections, evaluate={})
    command = ["run", str(recipe), "--output", str(tmp_path / "run"), "--device", "cpu"]
    capsys.readouterr()
    assert main(command) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "of 18 validation rows are right (" in line
    assert "no better than a guess (the most frequent intent has 33.3%)" in line
    assert "evaluate.may_be_chance: true" in line
    assert not (tmp_path / "run" / "bundle").exists()
    make_recipe(tmp_path / "recipe", **sections, evaluate={"may_be_chance": True})
    assert main(command) == 0
    assert "of 18 validation rows in scope are right as stored: " in capsys.readouterr().out
    record = read_record(tmp_path / "run" / "package" / RECORD)
    assert record
    assert 0 <= record.proof["validation_accuracy"] < 0.7
