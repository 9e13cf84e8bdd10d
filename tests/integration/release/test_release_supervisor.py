"""One host with real Envoy and real servers: what is wanted runs, what dies is restarted, all ends in order."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from intently_release.release.packaged import revision_of
from intently_release.state import Seen, Slot, supervisor_of
from support.bundles import changed, copy_bundle
from support.paths import BUNDLE
from support.supervised import Host, host, running

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

REVISION = revision_of(BUNDLE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="intently-") as name:
        yield Path(name)


@pytest.fixture
def blue(folder: Path) -> Iterator[Host]:
    """A host that runs blue."""
    with host(folder) as made:
        made.want(blue=running())
        made.start()
        made.wait("envoy", "blue-0")
        yield made


def is_gone(seen: Seen) -> bool:
    """Whether it ended and nothing took its place."""
    return seen.pid is None and seen.last_exit != ""


def test_both_start_and_a_call_through_envoy_is_answered(blue: Host) -> None:
    assert blue.answers(blue.config.listener.address)

    assert len(blue.processes()) == 2
    assert "serving" in blue.layout.log("blue-0").read_text()
    assert "serving" not in blue.layout.log("envoy").read_text()
    assert blue.observed("green-0") == Seen()
    supervisor = supervisor_of(blue.layout)
    assert supervisor is not None
    assert supervisor.pid == blue.supervisors[0].pid


@pytest.mark.parametrize("name", ["blue-0", "envoy"])
def test_what_is_killed_is_started_again(blue: Host, name: str) -> None:
    before = {each: blue.observed(each) for each in ("envoy", "blue-0")}
    killed = before[name].pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    after = blue.wait(name, until=lambda seen: seen.ready and seen.pid != killed)[name]

    assert (after.restarts, after.last_exit) == (1, "killed by SIGKILL")
    [other] = before.keys() - {name}
    assert blue.observed(other) == before[other]
    assert blue.answers(blue.config.listener.address)
    assert len(blue.processes()) == 2


def test_a_slot_that_is_not_wanted_any_more_drains(blue: Host) -> None:
    blue.want(green=running())
    blue.wait("green-0")
    before = blue.observed("blue-0")

    blue.want(green=Slot(bundle=BUNDLE))
    green = blue.wait("green-0", until=is_gone)["green-0"]

    assert (green.last_exit, green.restarts, green.ready) == ("exit code 0", 0, False)
    assert "stopping: nothing is in flight" in blue.layout.log("green-0").read_text()
    assert blue.observed("blue-0") == before
    assert len(blue.processes()) == 2


@pytest.mark.parametrize("changes", ["bundle", "revision"])
def test_a_slot_with_another_bundle_ends_its_server_and_starts_one(blue: Host, folder: Path, changes: str) -> None:
    copied = copy_bundle(BUNDLE, folder / "copied")
    blue.want(blue=running(copied, REVISION))
    before = blue.wait("blue-0", until=lambda seen: seen.ready and seen.bundle == copied)["blue-0"]
    (folder / "other").symlink_to(BUNDLE)
    wanted = running(folder / "other", REVISION) if changes == "bundle" else running(copied, changed(copied))

    blue.want(blue=wanted)
    after = blue.wait("blue-0", until=lambda seen: seen.ready and seen.pid != before.pid)["blue-0"]

    assert (after.bundle, after.revision) == (wanted.bundle, wanted.revision)
    assert (after.restarts, after.last_exit) == (0, "exit code 0")
    log = blue.layout.log("blue-0").read_text()
    assert log.index("nothing is in flight") < log.rindex(": starting")
    assert blue.answers(blue.config.listener.address)


def test_a_revision_that_was_only_not_known_restarts_nothing(blue: Host) -> None:
    before = blue.observed("blue-0")

    blue.want(blue=running(revision=REVISION))

    after = blue.wait("blue-0", until=lambda seen: seen.revision == REVISION)["blue-0"]
    assert after == before.model_copy(update={"revision": REVISION})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_it_ends_the_servers_then_envoy_and_leaves_nothing(blue: Host, number: signal.Signals) -> None:
    blue.want(green=running())
    blue.wait("green-0")

    [supervisor] = blue.supervisors
    supervisor.send_signal(number)

    assert supervisor.wait(60) == 0
    assert blue.processes() == []
    assert {name: blue.observed(name).last_exit for name in ("envoy", "blue-0", "green-0")} == {
        "envoy": "exit code 0",
        "blue-0": "exit code 0",
        "green-0": "exit code 0",
    }
    said = blue.said.read_text()
    ends = [said.index(f"{name}: ended as it was told") for name in ("blue-0", "green-0", "envoy")]
    assert max(ends) == ends[2]
    assert max(said.index(f"{color}-0: is not wanted") for color in ("blue", "green")) < min(ends)
    assert supervisor_of(blue.layout) is None


def test_told_twice_it_hurries(folder: Path) -> None:
    with host(folder, drain_delay=3600.0) as made:
        made.want(blue=running())
        supervisor = made.start()
        made.wait("envoy", "blue-0")

        supervisor.terminate()
        made.wait("blue-0", until=lambda seen: seen.stopping)
        supervisor.terminate()

        assert supervisor.wait(60) == 0
        assert made.processes() == []
        assert made.observed("blue-0").last_exit == "exit code 0"


def test_a_second_supervisor_is_refused_by_the_first_ones_name(blue: Host) -> None:
    [first] = blue.supervisors
    before = blue.processes()

    assert blue.start().wait(60) != 0

    assert f"held by `intently-release up` (pid {first.pid}, since " in blue.said.read_text()
    assert blue.processes() == before


def test_without_anything_wanted_it_says_what_to_do(folder: Path) -> None:
    with host(folder) as made:
        assert made.start().wait(60) != 0

        assert "intently-release up --bundle DIR" in made.said.read_text()
        assert made.processes() == []


def test_while_the_state_cannot_be_read_what_was_wanted_last_stays(blue: Host) -> None:
    good, before = blue.layout.state.read_text(), blue.processes()
    blue.layout.state.write_text(good.replace("running", "runing"))
    blue.wait_said("state.json cannot be used")

    assert blue.processes() == before

    blue.layout.state.write_text(good)
    blue.want(green=running())
    blue.wait("green-0")
    assert blue.said.read_text().count("state.json cannot be used") == 1


def test_signals_of_a_terminal_reach_the_supervisor_alone(blue: Host) -> None:
    """Ctrl-C is sent to the whole group: Envoy would end on it at once, while servers drain."""
    groups = {os.getpgid(process.pid) for process in blue.processes()}

    assert groups == {process.pid for process in blue.processes()}
    assert psutil.Process(blue.supervisors[0].pid).pid not in groups
