"""The state file and its lock: whole after any kill, and refused to a second command by the first one's name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from intently_release.colors import Color, all_to, split
from intently_release.errors import Busy, StateProblem
from intently_release.layout import Layout
from intently_release.state import Seen, State, Store, read_observed, supervisor_of, write_observed

STATE = State(stable=Color.BLUE, weights=all_to(Color.BLUE))
_HOLD = """
import sys
from pathlib import Path
from intently_release.layout import Layout
from intently_release.state import Store
with Store(Layout(Path(sys.argv[1]))).held("deploy /bundles/two"):
    print("held", flush=True)
    sys.stdin.read()
"""
_WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from intently_release.colors import Color, split
from intently_release.layout import Layout
from intently_release.state import State, Store
store = Store(Layout(Path(sys.argv[1])))
for turn in itertools.count():
    store.write(State(stable=Color.BLUE, weights=split(Color.GREEN, turn % 101)))
    print(flush=True) if turn == 3 else None
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A run directory that is not there yet."""
    return Layout(tmp_path / "run")


@pytest.fixture
def other(layout: Layout) -> "Iterator[subprocess.Popen[bytes]]":
    """Another process, which holds the lock until its standard input ends."""
    command = [sys.executable, "-c", _HOLD, str(layout.run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_before_anything_was_wanted_there_is_nothing(layout: Layout) -> None:
    assert Store(layout).read() is None


def test_what_was_written_is_read(layout: Layout) -> None:
    store = Store(layout)
    store.write(STATE)
    store.write(STATE.with_weights(split(Color.GREEN, 25)))

    assert store.read() == STATE.with_weights(split(Color.GREEN, 25))
    assert [path.name for path in layout.run_dir.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"stable": "blue"', '{"stable": "blue", "weights": {"blue": 90, "green": 5}}', "\udcff"]
)
def test_a_file_that_cannot_be_used_is_named(layout: Layout, text: str) -> None:
    Store(layout).write(STATE)
    layout.state.write_text(text, errors="surrogateescape")

    with pytest.raises(StateProblem, match=str(layout.state)) as caught:
        Store(layout).read()

    assert "\n" not in str(caught.value)


def test_what_a_killed_writer_left_is_written_over(layout: Layout) -> None:
    Store(layout).write(STATE)
    layout.state.with_name("state.json.partial").write_text('{"stable": "gre')

    assert Store(layout).read() == STATE
    Store(layout).write(STATE.with_weights(split(Color.GREEN, 5)))
    assert Store(layout).read() == STATE.with_weights(split(Color.GREEN, 5))


def test_a_writer_that_is_killed_leaves_a_whole_file(layout: Layout) -> None:
    for _ in range(5):
        command = [sys.executable, "-c", _WRITE_FOR_EVER, str(layout.run_dir)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"\n"
            writer.kill()

        state = Store(layout).read()
        assert state is not None
        assert state.stable is Color.BLUE


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    store = Store(Layout(tmp_path / "run"))

    with pytest.raises(StateProblem, match=r"cannot write .*run/state\.json"):
        store.write(STATE)
    with pytest.raises(StateProblem, match="cannot lock"), store.held("deploy"):
        pass


def test_a_second_command_is_refused_by_the_first_ones_name(layout: Layout, other: "subprocess.Popen[bytes]") -> None:
    with (
        pytest.raises(Busy, match=rf"`deploy /bundles/two` \(pid {other.pid}, since 20\d\d-"),
        Store(layout).held("up"),
    ):
        pass

    holder = Store(layout).holder()
    assert holder is not None
    assert (holder.command, holder.pid) == ("deploy /bundles/two", other.pid)


def test_the_lock_is_free_once_its_holder_was_killed(layout: Layout, other: "subprocess.Popen[bytes]") -> None:
    other.kill()
    other.wait()

    assert Store(layout).holder() is None
    with Store(layout).held("shift 5"):
        holder = Store(layout).holder()

    assert holder is not None
    assert (holder.command, holder.pid) == ("shift 5", os.getpid())


def test_within_a_process_too_only_one_has_it(layout: Layout) -> None:
    store = Store(layout)
    with store.held("abort"), pytest.raises(Busy, match=f"`abort` \\(pid {os.getpid()}"), store.held("promote"):
        pass

    with store.held("promote"):
        pass
    assert store.holder() is None


def test_a_block_that_fails_frees_the_lock(layout: Layout) -> None:
    store = Store(layout)
    with pytest.raises(KeyError), store.held("deploy"):
        raise KeyError

    with store.held("deploy"):
        pass


def test_a_lock_whose_holder_nobody_knows_is_refused_all_the_same(
    layout: Layout, other: "subprocess.Popen[bytes]"
) -> None:
    layout.lock.write_text("")

    with pytest.raises(Busy, match="held by another command"), Store(layout).held("up"):
        pass


def test_a_process_that_got_the_number_of_a_dead_holder_is_not_taken_for_it(layout: Layout) -> None:
    layout.run_dir.mkdir()
    before = psutil.Process().create_time() - 3600
    layout.lock.write_text(f'{{"command": "deploy", "pid": {os.getpid()}, "since": {before}}}')

    assert Store(layout).holder() is None


def test_what_was_observed_is_read(layout: Layout) -> None:
    observed = {"envoy": Seen(pid=7, ready=True), "blue-0": Seen(bundle=Path("/bundles/one"), last_exit="exit code 1")}
    assert read_observed(layout) == {}

    write_observed(layout, observed)

    assert read_observed(layout) == observed
    assert supervisor_of(layout) is None


def test_an_observed_file_that_cannot_be_used_is_named(layout: Layout) -> None:
    write_observed(layout, {})
    layout.observed.write_text('{"envoy": ')

    with pytest.raises(StateProblem, match=str(layout.observed)):
        read_observed(layout)
