"""The page of a run: it holds what each kind of study shows, escapes what it is told, and fetches nothing."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from intently.bench.collector import Collector
from intently.bench.ending import Ending
from intently.bench.fleet import ProcessRecord
from intently.bench.histogram import Histogram
from intently.bench.page.axes import around, from_zero, logarithmic
from intently.bench.page.page import page_of
from intently.bench.plan import Plan
from intently.bench.recorder import Interval, Phase
from intently.bench.result import Result, add_up
from intently.bench.studies.kind import Kind
from intently.bench.studies.ratio import ratio_of
from intently.bench.studies.slo import Slo
from intently.bench.studies.study import Found, Probe, Run, Study
from intently.bench.tally import Answer, Tally
from intently.bench.verdict import Verdict

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DONE = Ending((), (), interrupted=False, withheld=False)
A, B = "first:1", "unix:/<second>"


def result_of(latency_s: float, seconds: int = 3) -> Result:
    collected = Collector(1)
    for number in range(seconds):
        measured = Tally(sent=50)
        for each in range(50):
            measured.count(Answer(ok=True, items=((("OK", ""), 1),)), latency_s * (1 + each / 50))
        collected.take(0, Interval(number, Phase.WINDOW, 1.0, 0.5, 0.5, 0, 0, Tally(), measured, Histogram()))
    return add_up([ProcessRecord("process 1")], collected)


def run_of(target: str, rate: float, latency_s: float = 0.01, number: int = 1, verdict: Verdict = Verdict(())) -> Run:  # noqa: B008
    return Run(target, Plan(target, ("a",), rate=rate), result_of(latency_s), verdict, number=number)


def page(kind: Kind, runs: Sequence[Run], ending: Ending = DONE, **more: object) -> str:
    targets = tuple(dict.fromkeys(run.target for run in runs))
    study = Study(kind, targets, tuple(runs), **more)  # type: ignore[arg-type]
    return page_of(runs[0].plan, study, ending, STARTED)


def drawings(html: str) -> list[str]:
    """The titles of the plots; each is well-formed."""
    found = re.findall("<svg.*?</svg>", html, re.DOTALL)
    return [ElementTree.fromstring(svg).attrib["aria-label"] for svg in found]  # noqa: S314  # our own drawings


def test_one_load_shows_its_distribution_and_its_time_line() -> None:
    html = page(Kind.RUN, [run_of(A, 100)])
    assert drawings(html) == [
        "Share of answers within a latency",
        "Latency by second: p50, p99",
        "Sent (dotted) and answered by second",
    ]
    assert "2026-01-02 03:04:05" in html


def test_a_ramp_shows_latency_over_load() -> None:
    html = page(Kind.RAMP, [run_of(A, rate, 0.01 * rate / 100) for rate in (100, 200, 300)])
    assert drawings(html)[0] == "Latency over load: p50, p99, p99.9"
    assert len(drawings(html)) == 2 + 3 * 2


def test_a_search_shows_its_probes_and_what_it_found() -> None:
    probes = (Probe(100, True, False, 98, 0.02, 0.0, False), Probe(130, False, False, 131, 0.09, 0.2, True))
    found = Found(A, Slo.parse("p99=82ms"), 100.0, 98.0, 130.0, True, probes)
    html = page(Kind.SEARCH, [run_of(A, 100), run_of(A, 130)], found=(found,))
    assert "Probes: p99 by rate" in drawings(html)
    assert "98 sends/s, of 100 asked for, at p99 ≤ 82 ms, confirmed; 130 failed" in html
    assert "failed, cut short" in html


def test_a_search_that_found_nothing_shows_what_failed() -> None:
    probe = Probe(100, False, False, 98, 0.09, 1.0, True)
    found = Found(A, Slo.parse("p99=82ms"), None, 0.0, 100.0, False, (probe,))
    html = page(Kind.SEARCH, [run_of(A, 100)], found=(found,))
    assert drawings(html)[:2] == ["Latency over load: p50, p99, p99.9", "Probes: p99 by rate"]
    assert "Share of answers within a latency" not in html


def test_a_comparison_shows_the_ratio_of_each_round_and_escapes_names() -> None:
    ratio = ratio_of([(2.0, 1.0), (2.1, 1.0)])
    assert ratio is not None
    runs = [run_of(target, 100, number=number) for number in (1, 2) for target in (A, B)]
    html = page(Kind.COMPARISON, runs, ratios=(("ratio", ratio),))
    assert "Ratio of goodput" in drawings(html)
    assert "<second>" not in html
    assert "&lt;second&gt;" in html


def test_it_fetches_nothing_and_runs_nothing() -> None:
    html = page(Kind.RUN, [run_of(A, 100)])
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", html)


def test_what_is_withheld_is_not_on_it() -> None:
    busy = Verdict(("process 1 used 99% of a core",), ("process 1 used 99% of a core",))
    ending = Ending(busy.reasons, (), interrupted=False, withheld=True)
    html = page(Kind.RUN, [run_of(A, 100, verdict=busy)], ending)
    assert drawings(html) == []
    assert "process 1 used 99% of a core" in html
    assert "withheld" in html
    steps = [run_of(A, 30), run_of(A, 50, verdict=busy)]
    assert drawings(page(Kind.RAMP, steps, ending))[0] == "Latency over load: p50, p99, p99.9"


@pytest.mark.parametrize("values", [[], [0.0], [1.0], [0.001, 900.0], [5.0, 5.0], [99.0, 101.0, 100.0]])
def test_axes_hold_their_values_and_have_ticks(values: list[float]) -> None:
    for axis in (from_zero("x", values), around("x", values), logarithmic("x", values)):
        assert axis.low < axis.high
        assert all(axis.low <= tick <= axis.high for tick, _ in axis.ticks)
        assert all(0 <= axis.share(value) <= 1 for value in values)
