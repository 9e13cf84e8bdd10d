"""Whether a load test may judge the server by what `intently bench` measured."""

import dataclasses

import pytest

from support.load import Measured, verdict_of

GOOD = Measured(
    sent_per_s=99.0,
    asked_per_s=100.0,
    by_chance=0.0,
    goodput=99.0,
    p50=0.01,
    p99=0.02,
    by_status={"OK": 990},
    sent=990,
    limits=(),
    report={},
)


@pytest.mark.parametrize(
    ("changes", "not_limited", "offered"),
    [
        ({}, True, True),
        ({"limits": ("process 0 used 99% of a core",)}, False, True),
        ({"sent_per_s": 97.0}, True, False),
        ({"sent_per_s": 97.0, "by_chance": 3.0}, True, True),
        ({"sent_per_s": 50.0, "by_chance": 3.0}, True, False),
        ({"sent_per_s": 50.0, "asked_per_s": None}, True, True),
    ],
)
def test_one_run_that_was_not_what_it_should_be_is_seen(
    changes: dict[str, object], not_limited: bool, offered: bool
) -> None:
    changed = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]
    assert verdict_of([GOOD, changed]) == {"generator_was_not_the_limit": not_limited, "all_was_offered": offered}
