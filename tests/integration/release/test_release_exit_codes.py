"""Exit codes: none that means something else than it says, whatever becomes of the command's output or of itself."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from intently_release.colors import Color
from intently_release.commands.main import run
from intently_release.layout import Layout
from intently_release.state import Entry, Event, History

pytestmark = pytest.mark.timeout(60)
COMMAND = (sys.executable, "-m", "intently_release.commands.main")
MANY = 5000  # entries: more than a pipe and a buffer hold
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
UNBUFFERED = {**BUFFERED, "PYTHONUNBUFFERED": "1"}
either = pytest.mark.parametrize("environment", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A run directory with a long history."""
    layout = Layout(tmp_path / "run")
    History(layout).append(Entry(event=Event.STARTED, color=Color.GREEN, bundle=Path("/bundles/größer"), revision="ab"))
    layout.history.write_text(MANY * layout.history.read_text())
    return layout


def arguments(layout: Layout, *flags: str) -> list[str]:
    """Those of a command that says much."""
    return ["history", "-n", str(MANY), "--run-dir", str(layout.run_dir), *flags]


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
def test_a_reader_that_leaves_is_no_fault(layout: Layout, flags: tuple[str, ...]) -> None:
    command, pipe = [*COMMAND, *arguments(layout, *flags)], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=BUFFERED) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""

    assert process.returncode == 141


@either
def test_output_that_cannot_be_written_is_told(layout: Layout, environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "history", "-n", "1", "--run-dir", str(layout.run_dir), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def test_closed_streams_are_no_fault(layout: Layout) -> None:
    command = ["sh", "-c", '"$@" >&- 2>&-', "sh", *COMMAND, *arguments(layout, "--json")]

    done = subprocess.run(command, env=BUFFERED)

    assert done.returncode == 0


def test_a_fault_of_its_own_has_a_code_of_its_own_and_a_log(layout: Layout) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}  # which cannot say where the bundle is
    done = subprocess.run([*COMMAND, *arguments(layout, "--json")], capture_output=True, text=True, env=environment)
    log = layout.log("intently-release")

    assert (done.returncode, done.stderr.count("\n")) == (70, 1)
    assert "a fault of intently-release itself: UnicodeEncodeError" in done.stderr
    assert str(log) in done.stderr
    assert "größer" not in done.stderr
    assert "Traceback" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_fault_without_a_log_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history", "--run-dir", "a\0b"]) == 70

    assert "Traceback" in capsys.readouterr().err
