"""The end of a run, for people."""

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intently.bench.histogram import Histogram
from intently.bench.plan import Arrivals, Plan, Shape
from intently.bench.report import Ending
from intently.bench.result import Result

_WIDTH = 120


def print_summary(plan: Plan, result: Result, ending: Ending, *, to_stderr: bool) -> None:
    """Prints what was measured, and what was wrong with it."""
    console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    if result.series:
        console.print(_figures(plan, result))
        console.print(_latencies(result))
    if ending.interrupted:
        console.print("interrupted: this is what was measured until then")
    for reason in ending.verdict.reasons:
        console.print(Text(f"the generator was the bottleneck: {reason}", style="yellow"))
    for failure in ending.failures:
        console.print(Text(f"failed: {failure}", style="red"))


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
    for process in result.processes:
        table.add_row(process.name, f"{process.sent} sent, {process.cpu:.0%} of a core")
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
