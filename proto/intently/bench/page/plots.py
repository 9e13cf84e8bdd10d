"""The plots of a study: latency over load, the distribution of latencies, time lines, probes, and ratios by round."""

import math
from collections.abc import Mapping, Sequence

from intently.bench.page.axes import around, from_zero, logarithmic
from intently.bench.page.svg import Axis, Drawing
from intently.bench.recorder import Phase
from intently.bench.studies.ratio import Ratio
from intently.bench.studies.study import Found, Run
from intently.bench.tally import Tally

_NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_DOTS = 400  # of a distribution: more cannot be told apart
_MS = 1e3


def latency_over_load(runs: Sequence[Run], targets: Sequence[str]) -> str:
    """p50, p99 and p99.9 of each step over the sends a second that it really made, or the answers of a closed loop."""
    shown = [run for run in runs if run.result.total.latency.count]
    load = from_zero("utterances answered/s", [run.result.answered_per_s for run in shown])
    times = [run.result.total.latency.percentile(at) * _MS for run in shown for at in (50.0, 99.9)]
    drawing = Drawing("Latency over load: p50, p99, p99.9", load, logarithmic("ms", times))
    for number, target in enumerate(targets):
        own = [run for run in shown if run.target == target]
        for percent, weight in ((50.0, "thin"), (99.0, ""), (99.9, "dotted")):
            points = [(run, run.result.total.latency.percentile(percent) * _MS) for run in own]
            kind = f"{series(number)} {weight}".strip()
            drawing.line([(run.result.answered_per_s, latency) for run, latency in points], kind)
            for run, latency in points:
                tip = f"{target} at {run.load}: p{percent:g} {latency:.2f} ms"
                drawing.mark(run.result.answered_per_s, latency, series(number), tip)
    return drawing.markup()


def distribution(tallies: Mapping[str, Tally]) -> str:
    """The share of answers that came within each latency; the upper end is stretched, so that the tail is seen."""
    curves = {name: tally.latency.curve() for name, tally in tallies.items() if tally.latency.count}
    x = logarithmic("latency, ms", [time * _MS for curve in curves.values() for time, _ in (curve[0], curve[-1])])
    most = max([1, *(tally.latency.count for tally in tallies.values())])
    nines = tuple((_stretched(share), f"{share * 100:g} %") for share in _NINES if (1 - share) * most >= 1)
    top = max(_stretched(1 - 0.5 / max(most, 2)), nines[-1][0])
    drawing = Drawing("Share of answers within a latency", x, Axis("share of answers", 0.0, top, nines))
    colours = {name: series(number) for number, name in enumerate(tallies)}
    for name, curve in curves.items():
        points = [(time * _MS, min(_stretched(share), top)) for time, share in _thinned(curve)]
        drawing.line(points, colours[name])
    drawing.legend([(colours[name], name) for name in curves])
    return drawing.markup()


def latency_over_time(run: Run, number: int = 0) -> str:
    """p50 and p99 of the answers of each second."""
    seconds = [each for each in run.result.series if each.phase is not Phase.WARM_UP and each.answered]
    times = [each.latency[percent] * _MS for each in seconds for percent in (50.0, 99.0)]
    drawing = Drawing("Latency by second: p50, p99", _seconds(run), logarithmic("ms", times))
    for percent, weight in ((50.0, "thin"), (99.0, "")):
        points = [(each.number, each.latency[percent] * _MS) for each in seconds]
        drawing.line(points, f"{series(number)} {weight}".strip())
    return drawing.markup()


def rates_over_time(run: Run, number: int = 0) -> str:
    """Sends and answered utterances a second, in each second."""
    seconds = [each for each in run.result.series if each.wall_s and each.phase is not Phase.AFTER]
    sent = [(each.number, each.sent / each.wall_s) for each in seconds]
    answered = [(each.number, each.answered / each.wall_s) for each in seconds]
    rates = from_zero("a second", [rate for _, rate in [*sent, *answered]])
    drawing = Drawing("Sent (dotted) and answered by second", _seconds(run), rates)
    drawing.line(sent, f"{series(number)} dotted")
    drawing.line(answered, series(number))
    return drawing.markup()


def probes(found: Sequence[Found]) -> str:
    """What each probe of a search measured, and the latency to be met."""
    slo = found[0].slo
    shown = [(number, each, probe) for number, each in enumerate(found) for probe in each.probes]
    times = [slo.limit_s * _MS, *(probe.value_s * _MS for _, _, probe in shown)]
    rates = from_zero("asked for, sends/s", [probe.rate for _, _, probe in shown])
    drawing = Drawing(f"Probes: p{slo.percent:g} by rate", rates, logarithmic("ms", times))
    drawing.bound(slo.limit_s * _MS, f"{slo.limit_s * _MS:g} ms")
    for number, each, probe in shown:
        how = "passed" if probe.passed else "failed, cut short" if probe.cut_short else "failed"
        tip = f"{each.target} at {probe.rate:.4g}/s: {probe.value_s * _MS:.2f} ms, {probe.bad_share:.3%} over it, {how}"
        drawing.mark(probe.rate, max(probe.value_s * _MS, 1e-3), series(number) if probe.passed else "failed", tip)
    return drawing.markup()


def ratio_by_round(name: str, ratio: Ratio) -> str:
    """The ratio in each round, and its mean with the interval at the right."""
    count = len(ratio.rounds)
    ends = [end for end in (ratio.low, ratio.high) if end is not None]
    rounds = Axis("round", 0.5, count + 1.5, tuple((at, f"{at}") for at in range(1, count + 1)))
    drawing = Drawing(name, rounds, around("times", [*ratio.rounds, ratio.value, *ends, 1.0]))
    drawing.bound(1.0, "equal")
    drawing.line(list(enumerate(ratio.rounds, start=1)), "s0 thin")
    for at, value in enumerate(ratio.rounds, start=1):
        drawing.mark(at, value, "s0", f"round {at}: {value:.4f}")
    if ratio.low is not None and ratio.high is not None:
        drawing.column(count + 1, ratio.low, ratio.high, "s1")
    drawing.mark(count + 1, ratio.value, "s1", f"mean {ratio.value:.4f}")
    return drawing.markup()


def series(number: int) -> str:
    """The class of a target's lines and dots."""
    return f"s{number % 8}"


def _seconds(run: Run) -> Axis:
    numbers = [each.number for each in run.result.series] or [0]
    axis = from_zero("second", [max(numbers) + 1])
    return Axis(axis.title, min(numbers), axis.high, axis.ticks)


def _stretched(share: float) -> float:
    """A share of answers such that each nine takes the same room."""
    return -math.log10(max(1 - share, 1e-9))


def _thinned(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some hundred of its points; of the last percent all."""
    step = max(1, len(curve) // _DOTS)
    return [point for at, point in enumerate(curve) if at % step == 0 or point[1] > 0.99]
