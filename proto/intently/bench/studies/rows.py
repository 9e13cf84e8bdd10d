"""A leg as a row of a table: while a run goes on, and at its end."""

from intently.bench.studies.study import Run
from intently.bench.tally import OK

HEADINGS = (
    *("target", "load", "sent/s", "answered/s", "failed"),
    *("p50", "p90", "p99", "p99.9", "max", "CPU", ""),
)
_PERCENTS = (50.0, 90.0, 99.0, 99.9)


def row_of(run: Run, *, withheld: bool = False) -> list[str]:
    """The cells of one leg. Times are in milliseconds; CPU is that of the busiest process."""
    result, total = run.result, run.result.total
    busiest = max((process.cpu for process in result.processes), default=0.0)
    percentiles = total.latency.percentiles()
    times = [*(percentiles[percent] for percent in _PERCENTS), total.latency.most if total.latency.count else 0.0]
    failed = [f"{number} {reason or status}" for (status, reason), number in total.items.most_common() if status != OK]
    figures = [
        f"{result.sent_per_s:.1f}",
        f"{result.answered_per_s:.1f}",
        ", ".join(failed) or "0",
        *(f"{each * 1e3:.1f}" if total.latency.count else "-" for each in times),
    ]
    if withheld:
        figures = ["withheld", *[""] * (len(figures) - 1)]
    return [run.target, run.load, *figures, f"{busiest:.0%}", _remark(run)]


def _remark(run: Run) -> str:
    remarks = ["cut short"] if run.cut_short else []
    return ", ".join([*remarks, *(["generator limited"] if run.limits else [])])
