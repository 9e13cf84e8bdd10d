"""What a release shows of itself: whatever its texts quote, and whoever stops reading."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console
from rich.live import Live

from intently_release.colors import Color, split
from intently_release.commands.main import run
from intently_release.commands.show import JsonReporter, LastingReporter, LineReporter, LiveReporter, table_of
from intently_release.layout import Layout
from intently_release.release.reporting import Event, Look, Reporter
from intently_release.state.history import Entry, History
from intently_release.state.history import Event as Happened

MARKUP = "cannot read [/x] of [bold]two[/]"
EVENT = Event("aborted", MARKUP)
LOOK = Look("25 %", split(Color.GREEN, 25), 1.0, Color.GREEN, {}, "bad", MARKUP)


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w")
    yield file
    with pytest.raises(BrokenPipeError):
        file.close()


def test_a_terminal_shows_what_a_reason_quotes_as_it_is() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120)
    LiveReporter(console, Live(console=console, auto_refresh=False)).event(EVENT)
    console.print(table_of(LOOK))

    assert out.getvalue().count(MARKUP) == 2


def test_the_history_shows_what_a_reason_quotes_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    History(Layout(tmp_path)).append(Entry(event=Happened.ABORTED, color=Color.GREEN, reasons=("[/x]",)))

    assert run(["history", "--run-dir", str(tmp_path)]) == 0

    assert "[/x]" in capsys.readouterr().out


def test_the_history_shows_what_share_a_color_had_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for event, percent in ((Happened.SHIFTED, 25), (Happened.DRAINED, 0)):
        History(Layout(tmp_path)).append(Entry(event=event, color=Color.GREEN, weights=split(Color.GREEN, percent)))

    assert run(["history", "--run-dir", str(tmp_path)]) == 0

    _, shifted, drained = capsys.readouterr().out.splitlines()
    assert shifted.split()[2:] == ["shifted", "green", "25", "%"]
    assert drained.split()[2:] == ["drained", "green", "0", "%"]


@pytest.mark.parametrize("kind", [JsonReporter, LineReporter])
def test_a_release_outlives_whoever_watched_it(
    kind: type[JsonReporter | LineReporter], unread: TextIO, caplog: pytest.LogCaptureFixture
) -> None:
    reporter: Reporter = LastingReporter(kind(unread))
    for _ in range(3):
        reporter.event(EVENT)
        reporter.look(LOOK)

    assert [record.getMessage() for record in caplog.records] == [
        "the release goes on, and nobody can be shown how: [Errno 32] Broken pipe"
    ]
