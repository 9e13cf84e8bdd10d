"""Latencies to be met and thresholds: what is understood, what a result makes of them, and what is refused."""

import argparse

import pytest

from intently.bench.collector import Collector
from intently.bench.fleet import ProcessRecord
from intently.bench.histogram import Histogram
from intently.bench.plan import Plan
from intently.bench.recorder import Interval, Phase
from intently.bench.result import Result, add_up
from intently.bench.studies.failing import failures_of
from intently.bench.studies.kind import Kind
from intently.bench.studies.ratio import Ratio
from intently.bench.studies.slo import Slo
from intently.bench.studies.study import Found, Run, Study
from intently.bench.tally import Answer, Tally
from intently.bench.thresholds import Threshold
from intently.bench.verdict import Verdict

GOOD = Answer(ok=True, items=((("OK", ""), 1),))
BAD = Answer(ok=False, items=((("RESOURCE_EXHAUSTED", "OVERLOADED"), 1),))


def result_of(latencies_s: list[float], failures: int = 0) -> Result:
    """A second in which these were answered, and so many failed at once."""
    measured = Tally(sent=len(latencies_s) + failures)
    for latency_s in latencies_s:
        measured.count(GOOD, latency_s)
    for _ in range(failures):
        measured.count(BAD, 0.0001)
    collected = Collector(1)
    collected.take(0, Interval(0, Phase.WINDOW, 1.0, 0.1, 0.1, 0, 0, Tally(), measured, Histogram()))
    return add_up([ProcessRecord("process 1")], collected)


def study_of(
    *results: Result, kind: Kind = Kind.RUN, rates: tuple[float, ...] = (), found: tuple[Found, ...] = ()
) -> Study:
    rates = rates or (100.0,) * len(results)
    plans = [Plan("here:1", ("a",), rate=rate) for rate in rates]
    runs = tuple(Run("here:1", plan, result, Verdict(())) for plan, result in zip(plans, results, strict=True))
    ratios = (("ratio", Ratio(0.98, 0.96, 1.0)), ("p99-ratio", Ratio(1.2, None, None)))
    return Study(kind, ("here:1",), runs, found, ratios if kind is Kind.COMPARISON else ())


def failures(text: str, study: Study) -> list[str]:
    return list(failures_of(study, Threshold.parse(text)))


def test_a_latency_is_a_percentile_and_a_bound() -> None:
    slo = Slo.parse("p99.9=150ms")
    assert (slo.percent, slo.limit_s) == (99.9, 0.15)
    assert str(slo) == "p99.9 ≤ 150 ms"
    assert (Slo.parse("p99=82ms").least_sends, slo.least_sends) == (2000, 20000)


@pytest.mark.parametrize("text", ["p99", "99=82ms", "p99=", "p99=0ms", "p100=1s", "p5=1s", "mean=1s"])
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        Slo.parse(text)


def test_it_is_met_up_to_the_share_that_it_allows() -> None:
    slo = Slo.parse("p90=50ms")
    assert slo.met(result_of([0.01] * 90 + [0.06] * 10))
    assert not slo.met(result_of([0.01] * 89 + [0.06] * 11))


def test_a_send_that_failed_took_longer() -> None:
    slo = Slo.parse("p90=50ms")
    assert slo.met(result_of([0.01] * 90, failures=10))
    assert not slo.met(result_of([0.01] * 89, failures=11))
    assert slo.bad_share(result_of([0.01] * 80 + [0.06] * 10, failures=10)) == 0.2
    assert not slo.met(result_of([]))


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("p99>100ms", False),
        ("p99>50ms", True),
        ("p50 > 9ms", True),
        ("max<1s", True),
        ("mean>1s", False),
        ("errors>2", False),
        ("errors>1", True),
        ("error-rate>1%", True),
        ("error-rate>0.05", False),
        ("goodput<90", False),
        ("goodput<99", True),
    ],
)
def test_a_figure_beyond_its_bound_fails(text: str, failed: bool) -> None:
    study = study_of(result_of([0.01] * 90 + [0.06] * 8, failures=2))
    assert bool(failures(text, study)) is failed


def test_a_failure_says_figure_and_bound() -> None:
    assert failures("p99>50ms", study_of(result_of([0.06] * 100))) == ["p99 is 60.03 ms, over 50 ms"]
    assert failures("p99>50ms", study_of(result_of([], failures=3))) == ["p99 was not measured"]


def test_a_ramp_is_held_against_it_in_each_step() -> None:
    study = study_of(result_of([0.01] * 9), result_of([0.06] * 9), kind=Kind.RAMP, rates=(10.0, 20.0))
    assert failures("p99>50ms", study) == ["p99 is 60.03 ms at 20/s, over 50 ms"]


def test_a_search_is_held_against_it_at_the_rate_found() -> None:
    found = Found("here:1", Slo.parse("p99=50ms"), 10.0, 9.5, 20.0, True, ())
    study = study_of(result_of([0.01] * 9), result_of([0.06] * 9), kind=Kind.SEARCH, rates=(10.0, 20.0), found=(found,))
    assert failures("p99>50ms", study) == []
    assert failures("found<11", study) == ["found is 9.5, under 11"]


def test_ratios_and_the_ends_of_their_intervals_have_names() -> None:
    study = study_of(result_of([0.01]), kind=Kind.COMPARISON)
    assert failures("ratio<0.97", study) == []
    assert failures("ratio.low<0.97", study) == ["ratio.low is 0.96, under 0.97"]
    assert failures("p99-ratio>1.1", study) == ["p99-ratio is 1.2, over 1.1"]
    assert failures("p99-ratio.high>1.1", study) == ["p99-ratio.high was not measured"]
    assert failures("p50-ratio>1.1", study) == ["p50-ratio was not measured"]


@pytest.mark.parametrize(
    "text", ["p99", "p99=82ms", "p99>fast", "errors>many", "speed<1", "ratio.mid<1", "p99>82 ms x"]
)
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        Threshold.parse(text)
