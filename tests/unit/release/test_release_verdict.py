"""The verdict, case by case: canaries that are well, and each kind of ill one."""

from dataclasses import replace

import pytest

from intently_release.config import Thresholds
from intently_release.judge.verdict import Outcome, Verdict, judge
from intently_release.judge.window import Window
from intently_release.proxy.histogram import Bucket, Histogram

THRESHOLDS = Thresholds()


def latencies(quick: int, slow: int = 0, slow_ms: float = 64) -> Histogram:
    """Of calls that took 4 ms, and of calls that took so long."""
    return Histogram(tuple(b for b in (Bucket(4, 0.1, quick), Bucket(slow_ms, 1, slow)) if b.count))


def window(codes: dict[int, int], **fields: object) -> Window:
    """Of a healthy color with one server, whose calls are all single ones that took 4 ms."""
    calls = sum(codes.values())
    usual = Window(seconds=5.0, codes=codes, singles=calls, healthy=1, total=1, latency=latencies(calls))
    return replace(usual, **fields)  # type: ignore[arg-type]  # a test's own fields


STABLE = window({0: 1425, 3: 10})
CANARY = window({0: 75})


def verdict(canary: Window = CANARY, stable: Window = STABLE, **thresholds: object) -> Verdict:
    """Of these windows; the thresholds are the defaults but for those named."""
    return judge(Thresholds.model_validate(thresholds), canary, stable)


@pytest.mark.parametrize(
    ("canary", "kind", "said"),
    [
        (CANARY, Outcome.GOOD, "answered 75 calls in 5.0 s: 0.0% failed (stable 0.0%), 0 retries, p99 4 ms"),
        (window({0: 380, 13: 20}), Outcome.BAD, "20 of the canary's 400 calls failed (INTERNAL 20): 5.0%"),
        (window({13: 60}), Outcome.BAD, "60 of the canary's 60 calls failed (INTERNAL 60): 100.0%"),
        (window({0: 60}, retries=60), Outcome.BAD, "60 retries and 0 overflows hid behind the canary's 60 calls"),
        (window({0: 5}, retries=5, ejected=1, ejections=1), Outcome.BAD, "1 of the canary's 1 servers are ejected"),
        (window({0: 75}, latency=latencies(0, 75)), Outcome.BAD, "75 of the canary's 75 single calls took over 20 ms"),
        (window({0: 3}, healthy=0), Outcome.BAD, "0 of the canary's 1 servers are healthy"),
        (window({}, healthy=0), Outcome.BAD, "0 of the canary's 1 servers are healthy"),
        (window({0: 25}), Outcome.TOO_FEW, "saw 25 calls in 5.0 s, of 50 needed"),
        (window({}), Outcome.TOO_FEW, "saw 0 calls in 5.0 s, of 50 needed"),
        (window({0: 300}, silent=300, singles=0, latency=Histogram()), Outcome.TOO_FEW, "saw 0 calls that tell how"),
        (window({0: 349}, silent=300), Outcome.TOO_FEW, "saw 49 calls that tell how it fares in 5.0 s, of 50 needed"),
        (window({0: 350}, silent=300), Outcome.GOOD, "answered 350 calls"),
        (window({0: 940, 13: 3}, silent=890), Outcome.BAD, "3 of the canary's 53 calls failed (INTERNAL 3): 5.7%"),
        (window({13: 60}, singles=0, latency=Histogram()), Outcome.BAD, "60 of the canary's 60 calls failed"),
        (window({}, unanswered=80, singles=0), Outcome.BAD, "80 of the canary's 80 calls got no answer"),
    ],
    ids=[
        "identical",
        "5 % INTERNAL",
        "100 % INTERNAL",
        "masked UNAVAILABLE",
        "masked UNAVAILABLE, ejected",
        "60 ms more",
        "crash mid-way",
        "never starts",
        "5 calls a second",
        "no traffic",
        "batches alone",
        "few calls among batches",
        "enough calls among batches",
        "5 % INTERNAL among batches",
        "batches alone, of which nothing is answered",
        "hangs, and callers are impatient",
    ],
)
def test_the_kinds_of_canary_that_were_measured(canary: Window, kind: Outcome, said: str) -> None:
    found = verdict(canary)

    assert found.kind is kind
    assert said in found.reasons[0]


@pytest.mark.parametrize("code", [2, 4, 8, 12, 13, 14, 15])
def test_each_status_that_tells_of_a_fault_counts(code: int) -> None:
    assert verdict(window({0: 90, code: 10})).kind is Outcome.BAD


@pytest.mark.parametrize("code", [0, 1, 3, 5, 6, 7, 9, 10, 11, 16])
def test_what_callers_do_wrong_does_not_count(code: int) -> None:
    assert verdict(window({0: 50, code: 50})).kind is Outcome.GOOD


def test_faults_must_be_over_all_three_of_share_number_and_multiple() -> None:
    assert verdict(window({0: 98, 13: 2})).kind is Outcome.TOO_FEW  # 2 %, of calls too few to pass them over
    assert verdict(window({0: 198, 13: 2})).kind is Outcome.GOOD
    assert verdict(window({0: 297, 13: 3})).kind is Outcome.GOOD
    assert verdict(window({0: 296, 13: 3})).kind is Outcome.BAD
    assert verdict(window({0: 94, 13: 6}), window({0: 970, 13: 30})).kind is Outcome.GOOD
    assert verdict(window({0: 93, 13: 7}), window({0: 970, 13: 30})).kind is Outcome.BAD


def test_a_stable_color_that_saw_few_calls_excuses_nothing() -> None:
    assert verdict(window({0: 90, 13: 10}), window({0: 9, 13: 1})).kind is Outcome.BAD


def test_nothing_excuses_a_canary_that_mostly_fails() -> None:
    ill = window({0: 400, 13: 600})

    assert verdict(window({0: 40, 13: 60}), ill).kind is Outcome.BAD
    assert verdict(window({0: 60, 13: 40}), ill).kind is Outcome.GOOD


def test_calls_given_up_are_weighed_against_those_of_the_stable_color() -> None:
    impatient = window({0: 700}, unanswered=300)

    assert verdict(window({0: 70}, unanswered=30), impatient).kind is Outcome.GOOD
    assert verdict(window({0: 70}, unanswered=30)).kind is Outcome.BAD


def test_retries_and_overflows_count_together() -> None:
    assert verdict(window({0: 100}, retries=1, overflow=1)).kind is Outcome.GOOD
    assert verdict(window({0: 150}, retries=2, overflow=1)).kind is Outcome.GOOD
    assert verdict(window({0: 149}, retries=2, overflow=1)).kind is Outcome.BAD


def test_a_few_slow_calls_are_an_accident() -> None:
    assert verdict(window({0: 50}, latency=latencies(48, 2))).kind is Outcome.GOOD
    assert verdict(window({0: 50}, latency=latencies(47, 3))).kind is Outcome.BAD
    assert verdict(window({0: 500}, latency=latencies(495, 5))).kind is Outcome.GOOD
    assert verdict(window({0: 500}, latency=latencies(494, 6))).kind is Outcome.BAD


def test_only_what_is_slow_may_pass() -> None:
    slow = latencies(50, 50)

    assert verdict(window({0: 100}, latency=slow)).may_pass
    assert not verdict(window({0: 90, 13: 10}, latency=slow)).may_pass
    assert len(verdict(window({0: 90, 13: 10}, latency=slow)).reasons) == 2


def test_a_slow_median_is_not_hidden_by_a_stable_color_with_a_long_tail() -> None:
    busy = window({0: 1000}, latency=latencies(980, 20, slow_ms=40))

    found = verdict(window({0: 100}, latency=latencies(40, 60)), busy)
    assert found.kind is Outcome.BAD
    assert "took over 20 ms: its median is 65 ms, the stable color's 4 ms" in found.reasons[0]
    assert verdict(window({0: 100}, latency=latencies(50, 50)), busy).kind is Outcome.GOOD
    assert verdict(window({0: 100}, latency=latencies(90, 10, slow_ms=90)), busy).kind is Outcome.BAD


def test_latency_must_be_over_both_the_multiple_and_the_least() -> None:
    slow_stable = window({0: 1000}, latency=latencies(0, 1000, slow_ms=40))

    assert verdict(window({0: 100}, latency=latencies(0, 100, slow_ms=19))).kind is Outcome.GOOD
    assert verdict(window({0: 100}, latency=latencies(0, 100, slow_ms=80)), slow_stable).kind is Outcome.GOOD
    assert verdict(window({0: 100}, latency=latencies(0, 100, slow_ms=82)), slow_stable).kind is Outcome.BAD


def test_a_slow_canary_beside_a_stable_color_without_calls_cannot_be_judged() -> None:
    idle = window({0: 20})

    assert verdict(window({0: 100}, latency=latencies(0, 100)), idle).kind is Outcome.TOO_FEW
    assert verdict(window({0: 100}), idle).kind is Outcome.GOOD
    assert verdict(window({0: 100}, latency=latencies(98, 2)), idle).kind is Outcome.GOOD
    assert verdict(window({13: 100}), idle).kind is Outcome.BAD


def test_an_ejection_that_is_over_still_counts() -> None:
    found = verdict(window({0: 75}, ejections=2))

    assert found.kind is Outcome.BAD
    assert "were ejected for failing calls, 2 times" in found.reasons[0]


def test_one_ill_server_of_several_is_enough() -> None:
    assert verdict(window({0: 75}, healthy=9, total=10)).kind is Outcome.BAD


def test_a_canary_without_servers_is_bad() -> None:
    assert verdict(window({0: 75}, healthy=0, total=0)).kind is Outcome.BAD


def test_servers_that_were_not_yet_checked_are_waited_for() -> None:
    found = verdict(window({}, healthy=0, pending=1))

    assert found.kind is Outcome.UNKNOWN
    assert "not yet checked 1 of the canary's 1 servers" in found.reasons[0]


def test_a_stable_color_that_falls_back_to_the_canary_is_nothing_to_compare_with() -> None:
    found = verdict(stable=window({0: 1000}, healthy=0, total=10))

    assert found.kind is Outcome.UNKNOWN
    assert "None of the stable color's 10 servers is healthy" in found.reasons[0]
    assert verdict(stable=window({0: 1000}, healthy=1, total=10)).kind is Outcome.GOOD  # with it they stay
    assert verdict(stable=window({0: 1000}, healthy=0, total=0)).kind is Outcome.UNKNOWN
    assert verdict(window({13: 100}), window({0: 1000}, healthy=0)).kind is Outcome.BAD


def test_latencies_that_are_not_there_yet_are_no_pass() -> None:
    assert verdict(window({0: 100}, latency=latencies(49))).kind is Outcome.UNKNOWN
    assert verdict(window({0: 100}, latency=latencies(50))).kind is Outcome.GOOD


def test_traffic_of_batches_and_streams_alone_needs_no_latencies() -> None:
    assert verdict(window({0: 100}, singles=0, latency=Histogram())).kind is Outcome.GOOD


def test_problems_of_both_colors_are_named() -> None:
    found = verdict(Window("it is gone"), Window("so is this"))

    assert found == Verdict(
        Outcome.UNKNOWN,
        (
            "Nothing can be said of the canary: it is gone.",
            "Nothing can be said of the stable color: so is this.",
        ),
    )


def test_all_that_is_wrong_is_named() -> None:
    canary = window({0: 40, 14: 20}, unanswered=40, retries=9, overflow=4, latency=latencies(0, 60))

    found = verdict(canary)

    assert found.kind is Outcome.BAD
    said = (
        "20 of the canary's 100 calls failed (UNAVAILABLE 20): 20.0%, over 1.0% and over 2 times",
        "40 of the canary's 100 calls got no answer before their callers gave up: 40.0%",
        "9 retries and 4 overflows hid behind the canary's 100 calls: 13.0%, over 2.0%.",
        "60 of the canary's 60 single calls took over 20 ms: its median is 65 ms, the stable color's 4 ms.",
    )
    assert len(found.reasons) == len(said)
    assert all(part in reason for part, reason in zip(said, found.reasons, strict=True))


def test_thresholds_are_obeyed() -> None:
    assert verdict(min_requests=76).kind is Outcome.TOO_FEW
    assert verdict(window({0: 50, 13: 50}), bad_least=51).kind is Outcome.TOO_FEW
    assert verdict(window({0: 60, 13: 40}), bad_share=0.4).kind is Outcome.GOOD
    assert verdict(window({0: 100}, retries=10), retry_share=0.1).kind is Outcome.GOOD
    assert verdict(window({0: 100}, retries=10), retry_least=11).kind is Outcome.GOOD
    assert verdict(window({0: 75}, latency=latencies(0, 75)), p99_least_ms=65).kind is Outcome.GOOD
    assert verdict(window({0: 75}, latency=latencies(0, 75)), p99_times_stable=16).kind is Outcome.GOOD
    assert verdict(window({0: 75}, latency=latencies(0, 75)), slow_least=76).kind is Outcome.GOOD
