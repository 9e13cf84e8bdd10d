"""Plots of the records of studies, as files of SVG that stand by themselves."""

from collections.abc import Mapping
from typing import Any

from intently.bench.page.axes import from_zero, logarithmic
from intently.bench.page.svg import Drawing
from support.benchmarks.figures import legs
from support.benchmarks.tables import NAMES

_COLOURS = ("#1f6feb", "#d9480f", "#2b8a3e", "#862e9c")
_STYLE = (
    "text { font: 11px system-ui, sans-serif; fill: #1b1e23; } .title { font-size: 13px; font-weight: 600; }"
    " .tick, .axis, .label { fill: #5d6672; } .grid { stroke: #d9dde3; } .line { fill: none; stroke-width: 2; }"
    " .dotted { stroke-dasharray: 2 3; } .bound { stroke: #5d6672; stroke-dasharray: 6 4; stroke-width: 1; }"
    " .mark.failed { fill: none; stroke: #c2255c; stroke-width: 1.5; } svg { background: #fff; }"
)


def of_probes(runs: Mapping[str, Any]) -> str:
    """What each probe of the searches measured, over the rate; those that failed are rings."""
    probes = [
        (number, run["roles"], each["target"], each["slo"], probe)
        for run in runs.values()
        for number, each in enumerate(run["report"].get("found", []))
        for probe in each["probes"]
    ]
    slo = probes[0][3]
    times = [slo["limit_s"] * 1e3, *(probe["value_s"] * 1e3 for *_, probe in probes)]
    rates = from_zero("calls a second", [probe["rate"] for *_, probe in probes])
    drawing = Drawing(f"p{slo['percentile']:g} of each probe, by rate", rates, logarithmic("ms", times))
    drawing.bound(slo["limit_s"] * 1e3, f"{slo['limit_s'] * 1e3:g} ms")
    names: dict[int, str] = {}
    for number, roles, target, _, probe in probes:
        names[number] = NAMES[next(role for role, address in roles.items() if address == target)]
        kind = f"s{number}" if probe["passed"] else "failed"
        drawing.mark(probe["rate"], probe["value_s"] * 1e3, kind, f"{names[number]}: {probe['rate']:.0f}/s")
    drawing.legend([(f"s{number}", name) for number, name in names.items()])
    return _alone(drawing)


def of_loops(runs: Mapping[str, Any]) -> str:
    """p99 over answers a second, a line for each target of closed loops."""
    found = legs(runs)
    drawing = Drawing(
        "p99 by answers a second, closed loops",
        from_zero("answers a second", [leg.per_s for leg in found]),
        logarithmic("ms", [leg.p99_ms for leg in found]),
    )
    named = [*dict.fromkeys(leg.run for leg in found)]
    for number, run in enumerate(named):
        own = [leg for leg in found if leg.run == run]
        drawing.line([(leg.per_s, leg.p99_ms) for leg in own], f"s{number}")
        for leg in own:
            drawing.mark(leg.per_s, leg.p99_ms, f"s{number}", f"{run}: {leg.at_once} at once")
    drawing.legend([(f"s{number}", run) for number, run in enumerate(named)])
    return _alone(drawing)


def of_curve(runs: Mapping[str, Any], title: str, axis: str) -> str:
    """Median latency of one call and of many at once over a number that the names of the runs begin with."""
    found = [(float(leg.run.partition(" ")[0]), leg) for leg in legs(runs)]
    drawing = Drawing(
        title,
        from_zero(axis, [at for at, _ in found]),
        logarithmic("ms", [time for _, leg in found for time in (leg.p50_ms, leg.p99_ms)]),
    )
    loads = [*dict.fromkeys(leg.at_once for _, leg in found)]
    for number, at_once in enumerate(loads):
        own = sorted((at, leg.p50_ms, leg.p99_ms) for at, leg in found if leg.at_once == at_once)
        drawing.line([(at, p50) for at, p50, _ in own], f"s{number}")
        drawing.line([(at, p99) for at, _, p99 in own], f"s{number} dotted")
    drawing.legend([(f"s{number}", f"{at_once} at once: p50, p99 dotted") for number, at_once in enumerate(loads)])
    return _alone(drawing)


def _alone(drawing: Drawing) -> str:
    """A file of it: with its style, which a page would give, and its namespace."""
    style = _STYLE + "".join(
        f" .line.s{number} {{ stroke: {colour}; }} .mark.s{number}, .name.s{number} {{ fill: {colour}; }}"
        for number, colour in enumerate(_COLOURS)
    )
    head, _, body = drawing.markup().partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{body}\n'
