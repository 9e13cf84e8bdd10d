"""What is seen while a run goes on: a table or lines on stderr, a row a second."""

import sys
from collections import deque
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from intently.bench.plan import Plan
from intently.bench.recorder import Interval
from intently.bench.tally import OK

_ROWS = 15
_HEADINGS = (
    *("second", "phase", "sent/s", "answered/s", "failed", "in flight"),
    *("p50", "p90", "p99", "p99.9", "max", "lag p99", "CPU"),
)
_SHORT_S = 0.05


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

    def take(self, process: int, interval: Interval) -> None:
        """Takes a process's next interval."""
        ...


class Off:
    """Shows nothing."""

    def __enter__(self) -> "Off":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def take(self, process: int, interval: Interval) -> None:
        """See `Progress`."""


class Seconds:
    """Joins the intervals of all processes; each second is complete once all have told of it."""

    def __init__(self, processes: int) -> None:
        self._queues: list[deque[Interval]] = [deque() for _ in range(processes)]

    def take(self, process: int, interval: Interval) -> list[Interval]:
        """Takes one; returns the seconds that are complete now."""
        self._queues[process].append(interval)
        complete = []
        while all(self._queues):
            first, *others = [queue.popleft() for queue in self._queues]
            joined = Interval.from_fields(first.to_fields())  # others still need it as it is
            for other in others:
                joined.merge(other)
            if joined.wall_s > _SHORT_S:
                complete.append(joined)
        return complete


class Lines(Off):
    """A plain line a second."""

    def __init__(self, plan: Plan) -> None:
        self._seconds = Seconds(plan.processes)

    def take(self, process: int, interval: Interval) -> None:
        """See `Progress`."""
        for second in self._seconds.take(process, interval):
            cells = zip(_HEADINGS, row_of(second), strict=True)
            sys.stderr.write("  ".join(f"{heading} {cell}" for heading, cell in cells) + "\n")


class LiveTable:
    """A table of the last seconds."""

    def __init__(self, plan: Plan) -> None:
        self._seconds = Seconds(plan.processes)
        self._rows: deque[list[str]] = deque(maxlen=_ROWS)
        self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def take(self, process: int, interval: Interval) -> None:
        """See `Progress`."""
        complete = self._seconds.take(process, interval)
        self._rows.extend(row_of(second) for second in complete)
        if complete:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in _HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self._rows:
            table.add_row(*row)
        return table


def progress_of(kind: str, plan: Plan) -> Progress:
    """The progress of that name: table, lines, off, or auto, which is a table on a terminal and otherwise off."""
    if kind == "table" or (kind == "auto" and sys.stderr.isatty()):
        return LiveTable(plan)
    return Lines(plan) if kind == "lines" else Off()


def row_of(second: Interval) -> list[str]:
    """The cells of one second. Times are in milliseconds."""
    everything, wall_s = second.everything, second.wall_s
    failed = [
        f"{number} {reason or status}" for (status, reason), number in everything.items.most_common() if status != OK
    ]
    latency = [everything.latency.percentile(percent) for percent in (50, 90, 99, 99.9)]
    lag = max(everything.lag.percentile(99), second.loop_lag.percentile(99))
    return [
        str(second.number),
        second.phase.value,
        f"{everything.sent / wall_s:.0f}",
        f"{everything.answered / wall_s:.0f}",
        ", ".join(failed) or "0",
        f"{second.in_flight}" + (f" +{second.waiting}" if second.waiting else ""),
        *(f"{each * 1e3:.1f}" for each in [*latency, everything.latency.most]),
        f"{lag * 1e3:.2f}",
        f"{second.cpu_s / wall_s:.0%}",
    ]
