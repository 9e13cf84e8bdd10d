"""The history: all that was done, in order, whatever a kill has torn."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from intently_release.colors import Color, split
from intently_release.errors import StateProblem
from intently_release.layout import Layout
from intently_release.state import Entry, Event, History

STARTED = Entry(event=Event.STARTED, release="7", color=Color.GREEN, bundle=Path("/bundles/two"), revision="ab12")
SHIFTED = Entry(event=Event.SHIFTED, release="7", color=Color.GREEN, weights=split(Color.GREEN, 5))
ABORTED = Entry(event=Event.ABORTED, release="7", color=Color.GREEN, reasons=("100 % of 20 calls: INTERNAL",))
_APPEND_FOR_EVER = """
import sys
from pathlib import Path
from intently_release.layout import Layout
from intently_release.state import Entry, Event, History
history = History(Layout(Path(sys.argv[1])))
while True:
    history.append(Entry(event=Event.SHIFTED, reasons=("x" * 100_000,)))
    print(flush=True)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A run directory that is not there yet."""
    return Layout(tmp_path / "run")


def test_before_anything_was_done_it_is_empty(layout: Layout) -> None:
    assert History(layout).entries() == ()


def test_what_was_appended_is_read_in_order(layout: Layout) -> None:
    history = History(layout)
    for entry in (STARTED, SHIFTED, ABORTED):
        history.append(entry)

    assert history.entries() == (STARTED, SHIFTED, ABORTED)
    assert len(layout.history.read_text().splitlines()) == 3


@pytest.mark.parametrize("left", [1, 20])
def test_a_torn_last_line_is_left_out_and_ended_by_the_next(
    layout: Layout, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(layout)
    history.append(STARTED)
    whole = layout.history.read_bytes()
    history.append(SHIFTED)
    layout.history.write_bytes(layout.history.read_bytes()[: len(whole) + left])

    with caplog.at_level(logging.WARNING):
        assert history.entries() == (STARTED,)
    assert "line 2 cannot be read" in caplog.text

    history.append(ABORTED)
    assert history.entries() == (STARTED, ABORTED)


def test_a_last_line_without_its_end_is_read(layout: Layout) -> None:
    history = History(layout)
    history.append(STARTED)
    layout.history.write_bytes(layout.history.read_bytes().rstrip(b"\n"))

    assert history.entries() == (STARTED,)
    history.append(SHIFTED)
    assert history.entries() == (STARTED, SHIFTED)


def test_a_writer_that_is_killed_tears_no_line_but_its_own(layout: Layout) -> None:
    history = History(layout)
    history.append(STARTED)
    command = [sys.executable, "-c", _APPEND_FOR_EVER, str(layout.run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"\n"
        writer.kill()

    history.append(ABORTED)
    entries = history.entries()
    assert (entries[0], entries[-1]) == (STARTED, ABORTED)
    assert entries[1].event is Event.SHIFTED


def test_lines_of_several_who_append_at_once_stay_whole(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    entry = Entry(event=Event.MOVED, reasons=("x" * 20_000,))
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda _: History(layout).append(entry), range(40)))

        assert History(layout).entries() == (entry,) * 40
    assert caplog.text == ""


def test_what_a_later_version_says_is_left_out(layout: Layout) -> None:
    history = History(layout)
    history.append(STARTED)
    layout.history.write_text(layout.history.read_text().replace("{", '{"later": 1, ', 1))

    assert history.entries() == (STARTED,)


def test_a_file_that_cannot_be_used_is_named(layout: Layout) -> None:
    layout.history.mkdir(parents=True)

    with pytest.raises(StateProblem, match=f"cannot read {layout.history}"):
        History(layout).entries()
    with pytest.raises(StateProblem, match=f"cannot write {layout.history}"):
        History(layout).append(STARTED)
