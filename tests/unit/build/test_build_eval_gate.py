"""The gate and the comparison that it judges by."""

import pytest

from intently_build.evaluation.gate import Gate
from unit.build.eval_figures import ROWS, results


def test_a_bundle_alone_passes() -> None:
    found = results(900)
    assert found.reference is None
    assert Gate(0, 0).failures(found) == ()


def test_a_loss_of_what_is_allowed_passes_and_one_row_more_does_not() -> None:
    assert Gate(accuracy=0.5, macro_f1=100).failures(results(10, 15)) == ()
    [failure] = Gate(accuracy=0.5, macro_f1=100).failures(results(10, 16))
    assert failure == (
        "second fails the gate on accuracy: 98.40% is 0.60 points less than first has, 0.10 more than the 0.5 allowed"
    )


def test_macro_f1_has_a_gate_of_its_own() -> None:
    [failure] = Gate(accuracy=100, macro_f1=1).failures(results(0, 30))
    assert failure.startswith("second fails the gate on macro-F1: 97.0")


def test_each_bundle_and_gate_that_fails_is_named_and_the_better_one_passes() -> None:
    failures = Gate().failures(results(50, 100, 10))
    assert [failure.split(":")[0] for failure in failures] == [
        "second fails the gate on accuracy",
        "second fails the gate on macro-F1",
    ]


@pytest.mark.parametrize("wrong", [5, 200])
def test_the_comparison_is_of_the_same_rows(wrong: int) -> None:
    found = results(40, wrong).bundles[1].comparison
    assert found is not None
    more, fewer = max(wrong - 40, 0), max(40 - wrong, 0)
    assert (found.only_reference_right, found.only_this_right) == (more, fewer)
    assert found.agreement == pytest.approx(1 - (more + fewer) / (ROWS + 50))
    assert found.accuracy_lost == pytest.approx((more - fewer) / ROWS * 100)
    assert found.mcnemar_p == pytest.approx(2 * 0.5 ** (more + fewer))
    assert len(found.worst_hit) == (10 if more else 0)
