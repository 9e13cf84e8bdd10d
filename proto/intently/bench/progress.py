"""What is seen while a run goes on: a table or lines on stderr, a row a second."""

import sys
from collections import deque
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from intently.bench.collector import Second
from intently.bench.tally import OK

_ROWS = 15
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

    def show(self, second: Second) -> None:
        """Shows the next second of all processes."""
        ...


class Off:
    """Shows nothing."""

    def __enter__(self) -> "Off":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, second: Second) -> None:
        """See `Progress`."""


class Lines(Off):
    """A plain line a second."""

    def show(self, second: Second) -> None:
        """See `Progress`."""
        cells = zip(_HEADINGS, row_of(second), strict=True)
        sys.stderr.write("  ".join(f"{heading} {cell}" for heading, cell in cells) + "\n")


class LiveTable:
    """A table of the last seconds."""

    def __init__(self) -> None:
        self._rows: deque[list[str]] = deque(maxlen=_ROWS)
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

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in _HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self._rows:
            table.add_row(*row)
        return table


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
