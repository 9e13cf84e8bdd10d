"""What load tests count as failed, of what `intently bench` reports; and what the load of a release is made of."""

import dataclasses

import pytest

from support.load import Measured
from support.release_load import Rates, ReleaseLoad

GOOD = Measured(
    sent_per_s=100.0,
    asked_per_s=100.0,
    by_chance=0.0,
    goodput=100.0,
    p50=0.01,
    p99=0.02,
    by_status={"OK": 500},
    sent=500,
    limits=(),
    report={
        "unfinished": 0,
        "lost": 0,
        "unsent": 0,
        "answered_twice": 0,
        "processes": [{"name": "process 1", "fault": ""}],
        "total": {"latency": {"count": 500}},
    },
)


def measured(by_status: dict[str, int], **report: object) -> Measured:
    return dataclasses.replace(GOOD, by_status=by_status, report=GOOD.report | report)


@pytest.mark.parametrize(
    ("run", "failures"),
    [
        (GOOD, {}),
        (
            measured({"OK": 500, "UNAVAILABLE": 3, "UNAVAILABLE DRAINING": 2}),
            {"UNAVAILABLE": 3, "UNAVAILABLE DRAINING": 2},
        ),
        (measured({"OK": 500}, unfinished=4), {"no answer": 4}),
        (measured({"OK": 500}, unfinished=4, lost=4), {"no answer": 4}),
        (measured({"OK": 500}, lost=1), {"no answer": 1}),
        (measured({"OK": 500}, unsent=7, unfinished=4), {"no answer": 4}),
        (measured({"OK": 500}, unsent=7, lost=3), {"no answer": 3}),
        (measured({"OK": 500}, answered_twice=2), {"answered twice": 2}),
        (
            measured({"OK": 9}, processes=[{"name": "process 1", "fault": "was killed by signal 9"}]),
            {"process 1 was killed by signal 9": 1},
        ),
    ],
)
def test_what_was_sent_and_has_no_good_answer_is_a_failure(run: Measured, failures: dict[str, int]) -> None:
    assert run.failures == failures


def test_failures_of_all_kinds_are_added_up() -> None:
    load = ReleaseLoad("127.0.0.1:1", Rates())
    load.measured = {"bare": measured({"OK": 490, "INTERNAL": 10}), "item": measured({"OK": 500}, lost=2), "call": GOOD}

    assert load.failed == 12
    assert load.failures == ["bare: 10 INTERNAL", "item: 2 no answer"]
    assert load.answered == {"bare": 500, "item": 500, "call": 500}


def test_only_what_has_a_rate_is_sent_and_only_bare_calls_are_never_tried_again() -> None:
    flags = Rates(bare=150, calls=150, items=200, streams=20).flags()

    assert {kind: each[:2] for kind, each in flags.items()} == {
        "bare": ("--rate", "150"),
        "call": ("--rate", "150"),
        "item": ("--rate", "200"),
    }
    assert [kind for kind, each in flags.items() if "--retry" in each] == ["call"]
    assert flags["item"][-4:] == ("--shape", "stream", "--streams", "20")
    assert Rates().flags() == {}
