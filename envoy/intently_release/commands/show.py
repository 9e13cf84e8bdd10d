"""Shows a release as it goes: a live table in a terminal, lines elsewhere, or JSON for machines."""

import dataclasses
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from intently_release.release.reporting import ColorView, Event, Look, Reporter

logger = logging.getLogger(__name__)

_EVERY_S = 10.0


class JsonReporter:
    """A line of JSON for each event and look. `at_s` is monotonic: for differences."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: Event) -> None:
        """See `Reporter.event`."""
        self._write({"event": event.kind, "text": event.text, **event.fields})

    def look(self, look: Look) -> None:
        """See `Reporter.look`."""
        self._write({"event": "look", **dataclasses.asdict(look)})

    def _write(self, document: dict[str, Any]) -> None:
        self._out.write(json.dumps({"at": _now(), "at_s": round(time.monotonic(), 3), **document}) + "\n")
        self._out.flush()


class LineReporter:
    """A line for each event, one when what can be said changes, and one now and then."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._said = ("", "")
        self._said_at = 0.0

    def event(self, event: Event) -> None:
        """See `Reporter.event`."""
        self._write(event.text)

    def look(self, look: Look) -> None:
        """See `Reporter.look`."""
        now = self._clock()
        if (look.step, look.outcome) != self._said or now - self._said_at >= _EVERY_S:
            self._said, self._said_at = (look.step, look.outcome), now
            self._write(f"{look.step}: {look.verdict}")

    def _write(self, text: str) -> None:
        self._out.write(f"{_now()} {text}\n")
        self._out.flush()


class LiveReporter:
    """Events as lines, and below them a table of both colors that is drawn again with each look."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def event(self, event: Event) -> None:
        """See `Reporter.event`."""
        self._console.print(Text.assemble((_now(), "dim"), " ", event.text), soft_wrap=True)

    def look(self, look: Look) -> None:
        """See `Reporter.look`."""
        self._live.update(table_of(look), refresh=True)


class LastingReporter:
    """Shows by another one, and falls silent once that cannot write: its reader may leave, and the release goes on."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter: Reporter | None = reporter

    def event(self, event: Event) -> None:
        """See `Reporter.event`."""
        self._show(lambda reporter: reporter.event(event))

    def look(self, look: Look) -> None:
        """See `Reporter.look`."""
        self._show(lambda reporter: reporter.look(look))

    def _show(self, what: Callable[[Reporter], None]) -> None:
        if self._reporter is None:
            return
        try:
            what(self._reporter)
        except OSError as error:
            self._reporter = None
            logger.warning("the release goes on, and nobody can be shown how: %s", error)


def table_of(look: Look) -> Table:
    """Both colors side by side."""
    # Text, not markup: a reason may quote anything.
    table = Table(title=Text(f"{look.step}, {look.elapsed_s:.0f} s: {look.verdict}"), title_justify="left")
    for column in ("color", "weight", "calls/s", "calls", "errors", "p50 ms", "p99 ms", "healthy"):
        table.add_column(column, justify="left" if column == "color" else "right")
    for color, view in sorted(look.views.items()):
        name = f"{color} (canary)" if color is look.canary else str(color)
        table.add_row(name, f"{look.weights[color]} %", *_cells(view))
    return table


def _cells(view: ColorView) -> tuple[str, ...]:
    return (
        f"{view.per_s:.1f}",
        str(view.calls),
        str(view.errors),
        _milliseconds(view.p50_ms),
        _milliseconds(view.p99_ms),
        f"{view.healthy}/{view.servers}",
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def reporter_for(console: Console, live: Live | None, *, as_json: bool) -> Reporter:
    """Who shows it: JSON on request, a table where there is a terminal, else lines."""
    if as_json:
        return LastingReporter(JsonReporter(sys.stdout))
    return LastingReporter(LineReporter(sys.stderr) if live is None else LiveReporter(console, live))
