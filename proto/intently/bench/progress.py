"""What is seen while a run goes on: on stderr, a row a second, and a row for each leg where there are several."""

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from intently.bench.collector import Second
from intently.bench.plan import Plan
from intently.bench.studies import rows
from intently.bench.studies.study import Run
from intently.bench.tally import OK

_ROWS = 15
_LEGS = 12
_HEADINGS = (
    *("second", "phase", "sent/s", "answered/s", "failed", "in flight"),
    *("p50", "p90", "p99", "p99.9", "max", "lag p99", "CPU"),
)


class Progress(Protocol):
    """Shows a run while it goes on."""

    def __enter__(self) -> "Progress":
        """Begins to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends."""
        ...

    def begin(self, target: str, plan: Plan) -> None:
        """A leg begins."""
        ...

    def show(self, second: Second) -> None:
        """Shows the next second of all processes."""
        ...

    def end(self, run: Run) -> None:
        """A leg has ended."""
        ...


class Off:
    """Shows nothing."""

    def __enter__(self) -> "Off":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, target: str, plan: Plan) -> None:
        """See `Progress`."""

    def show(self, second: Second) -> None:
        """See `Progress`."""

    def end(self, run: Run) -> None:
        """See `Progress`."""


class Lines(Off):
    """A plain line a second, and one for each leg."""

    def show(self, second: Second) -> None:
        """See `Progress`."""
        _write(_HEADINGS, row_of(second))

    def end(self, run: Run) -> None:
        """See `Progress`."""
        _write(rows.HEADINGS, rows.row_of(run))


class LiveTable:
    """A table of the last seconds, under one of the legs that have ended."""

    def __init__(self) -> None:
        self._rows: deque[list[str]] = deque(maxlen=_ROWS)
        self._legs: deque[list[str]] = deque(maxlen=_LEGS)
        self._title = ""
        self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, second: Second) -> None:
        """See `Progress`."""
        self._rows.append(row_of(second))
        self._live.update(self._table(), refresh=True)

    def begin(self, target: str, plan: Plan) -> None:
        """See `Progress`."""
        load = f"{plan.rate:g}/s" if plan.rate is not None else f"{plan.concurrency} at once"
        self._title = f"{target}, {load}"
        self._rows.clear()

    def end(self, run: Run) -> None:
        """See `Progress`."""
        self._legs.append(rows.row_of(run))
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Group:
        seconds = _table(_HEADINGS, self._rows, self._title)
        return Group(*([_table(rows.HEADINGS, self._legs, "")] if self._legs else []), seconds)


def _table(headings: Sequence[str], cells: Iterable[Sequence[str]], title: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title or None, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "target" else "right", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    return table


def _write(headings: Sequence[str], cells: Sequence[str]) -> None:
    named = zip(headings, cells, strict=True)
    sys.stderr.write("  ".join(f"{heading} {cell}".strip() for heading, cell in named if cell) + "\n")


def progress_of(kind: str) -> Progress:
    """The progress of that name: table, lines, off, or auto, which is a table on a terminal and otherwise off."""
    if kind == "table" or (kind == "auto" and sys.stderr.isatty()):
        return LiveTable()
    return Lines() if kind == "lines" else Off()


def row_of(second: Second) -> list[str]:
    """The cells of one second. Times are in milliseconds."""
    wall_s = second.wall_s or 1.0
    failed = [f"{number} {reason or status}" for (status, reason), number in second.items.most_common() if status != OK]
    latency = [*(second.latency[percent] for percent in (50.0, 90.0, 99.0, 99.9)), second.latency_max]
    return [
        str(second.number),
        second.phase.value,
        f"{second.sent / wall_s:.0f}",
        f"{second.answered / wall_s:.0f}",
        ", ".join(failed) or "0",
        f"{second.in_flight}" + (f" +{second.waiting}" if second.waiting else ""),
        *(f"{each * 1e3:.1f}" for each in latency),
        f"{max(second.lag_p99, second.loop_lag_p99) * 1e3:.2f}",
        f"{second.cpu_s / wall_s:.0%}",
    ]
