"""The end of a run, for people."""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intently.bench.ending import Ending
from intently.bench.histogram import Histogram
from intently.bench.plan import Arrivals, Plan, Shape
from intently.bench.result import Result
from intently.bench.studies.kind import Kind
from intently.bench.studies.rows import HEADINGS, row_of
from intently.bench.studies.study import Study

_WIDTH = 120


def print_summary(study: Study, ending: Ending, *, to_stderr: bool) -> None:
    """Prints what was measured, and what was wrong with it."""
    console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    if any(run.result.series for run in study.runs):
        _print_figures(console, study, ending)
    if ending.interrupted:
        console.print("interrupted: this is what was measured until then")
    for reason in ending.limits:
        console.print(Text(f"the generator was the bottleneck: {reason}", style="yellow"))
    if ending.withheld:
        console.print(Text("so its figures say nothing of the server, and are withheld (--allow-limited shows them)"))
    for failure in ending.failures:
        console.print(Text(f"failed: {failure}", style="red"))


def _print_figures(console: Console, study: Study, ending: Ending) -> None:
    if study.kind is not Kind.RUN:
        console.print(_legs(study, ending))
        for line in [] if ending.withheld else conclusions(study):
            console.print(Text(line))
        console.print(Text(f"adding up took {study.parent_cpu:.0%} of a core; CPU is of the busiest process"))
        return
    run = study.runs[0]
    if not ending.withheld:
        console.print(_figures(run.plan, run.result))
        console.print(_latencies(run.result))
    console.print(_processes(study, run.result))


def conclusions(study: Study) -> Iterator[str]:
    """What follows from the legs: rates found, and ratios."""
    for found in study.found:
        if found.rate is not None:
            failed = "" if found.failed_above is None else f"; {found.failed_above:.4g} failed"
            again = "confirmed" if found.confirmed else "not confirmed"
            asked = f"{found.sent_per_s:.4g} sends/s, of {found.rate:.4g} asked for"
            yield f"{found.target}: {asked}, at {found.slo}, {again}{failed}"
    for name, ratio in study.ratios:
        figure = "answered" if name == "ratio" else name.removesuffix("-ratio")
        figure = "rate" if study.kind is Kind.SEARCH else figure
        within = ""
        if ratio.low is not None and ratio.high is not None:
            why = "by the rates that failed" if study.kind is Kind.SEARCH else f"95 %, {len(ratio.rounds)} rounds"
            within = f" ({ratio.low:.4f} to {ratio.high:.4f}, {why})"
        yield f"{figure}, {study.targets[0]} over {study.targets[1]}: {ratio.value:.4f}{within}"


def _legs(study: Study, ending: Ending) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"target", ""} else "right")
    for run in study.runs:
        table.add_row(*row_of(run, withheld=ending.withholds(study, run)))
    return table


def _processes(study: Study, result: Result) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for process in result.processes:
        table.add_row(process.name, f"{process.sent} sent, {process.cpu:.0%} of a core")
    table.add_row("adding up", f"{study.parent_cpu:.0%} of a core")
    return table


def _figures(plan: Plan, result: Result) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    total = result.total
    table.add_row("sent", f"{total.sent} in {result.window_s:.2f} s: {result.sent_per_s:.1f}/s{_asked(plan, result)}")
    table.add_row("goodput", f"{result.answered_per_s:.1f} utterances answered a second")
    for (status, reason), number in total.items.most_common():
        table.add_row("", f"{number} {status}{' ' + reason if reason else ''}")
    if total.outcomes:
        sample = sum(total.outcomes.values())
        shares = ", ".join(f"{name} {number / sample:.0%}" for name, number in total.outcomes.most_common())
        table.add_row("outcomes", f"{shares} (of {sample} looked into)")
    if plan.shape is Shape.STREAM:
        table.add_row("streams", f"{plan.streams}; items lost {result.lost}, answered twice {result.answered_twice}")
    if result.unfinished or result.unsent or total.held_back:
        table.add_row(
            "not done",
            f"given up unanswered {result.unfinished}, never sent {result.unsent}, had to wait {total.held_back}",
        )
    return table


def _asked(plan: Plan, result: Result) -> str:
    """The rate that was asked for, and how far from it chance leads: the deviation of a Poisson count."""
    if plan.rate is None:
        return ""
    by_chance = math.sqrt(plan.rate / result.window_s) if result.window_s else 0.0
    return f" of {plan.rate:g} asked" + (f" ± {by_chance:.1f}" if plan.arrivals is Arrivals.POISSON else "")


def _latencies(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("ms", "count", "min", "p50", "p75", "p90", "p95", "p99", "p99.9", "max", "mean"):
        table.add_column(heading, justify="left" if heading == "ms" else "right")
    total = result.total
    _add(table, "latency", total.latency)
    if total.failed.count:
        _add(table, "of failures", total.failed)
    if total.lag.count:
        _add(table, "scheduling lag", total.lag)
    _add(table, "loop lag", result.loop_lag)
    return table


def _add(table: Table, name: str, histogram: Histogram) -> None:
    figures = [histogram.least, *histogram.percentiles().values(), histogram.most, histogram.mean]
    shown = [f"{figure * 1e3:.2f}" if histogram.count else "-" for figure in figures]
    table.add_row(name, str(histogram.count), *shown)
