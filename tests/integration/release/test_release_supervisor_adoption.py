"""The supervisor is killed: what it ran lives on, and the next one takes it over without a twin."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from intently_release.colors import Color
from intently_release.release.packaged import revision_of
from intently_release.state import Seen, Slot
from support.paths import BUNDLE
from support.serving import free_address
from support.supervised import Host, host, running

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture
def both() -> Iterator[Host]:
    """A host that runs both colors."""
    with running_both(drain_delay=0.1) as made:
        yield made


@contextlib.contextmanager
def running_both(drain_delay: float) -> Iterator[Host]:
    """Runs both colors, whose servers take so many seconds to drain, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="intently-") as name, host(Path(name), drain_delay=drain_delay) as made:
        made.want(blue=running(), green=running(revision=revision_of(BUNDLE)))
        made.start()
        made.wait("envoy", "blue-0", "green-0")
        yield made


def kill_supervisor(on: Host) -> None:
    """Kills the one that runs, and waits for its end."""
    on.supervisors[-1].kill()
    on.supervisors[-1].wait()


def another_than(pid: int | None) -> Callable[[Seen], bool]:
    """Whether another process has taken its place and is ready."""
    return lambda seen: seen.ready and seen.pid != pid


def same_as(pid: int | None) -> Callable[[Seen], bool]:
    """Whether it is still there and ready."""
    return lambda seen: seen.ready and seen.pid == pid


def adopts(on: Host, names: int) -> None:
    """Starts a supervisor, and waits until it has adopted so many."""
    on.start()
    on.wait_said("adopted pid", names)


@pytest.mark.parametrize("observed", ["whole", "torn", "lost"])
def test_the_next_one_adopts_all_and_starts_no_twin(both: Host, observed: str) -> None:
    before = {name: both.observed(name) for name in ("envoy", "blue-0", "green-0")}
    processes = both.processes()
    kill_supervisor(both)
    assert both.processes() == processes
    if observed == "torn":
        both.layout.observed.write_text('{"envoy": {"pi')
    if observed == "lost":
        both.layout.observed.unlink()

    adopts(both, 3)
    for name, seen in before.items():
        both.wait(name, until=same_as(seen.pid))

    assert {name: both.observed(name).started_at for name in before} == {
        name: seen.started_at for name, seen in before.items()
    }
    assert both.processes() == processes
    assert both.answers(both.config.listener.address)

    both.supervisors[-1].terminate()
    assert both.supervisors[-1].wait(60) == 0
    assert both.processes() == []


def test_what_died_while_nobody_looked_is_started_again(both: Host) -> None:
    before = {name: both.observed(name) for name in ("envoy", "blue-0", "green-0")}
    kill_supervisor(both)
    for name in ("envoy", "blue-0"):
        os.kill(before[name].pid or 0, signal.SIGKILL)

    adopts(both, 1)
    for name in ("envoy", "blue-0"):
        both.wait(name, until=another_than(before[name].pid))

    assert both.observed("green-0") == before["green-0"]
    assert len(both.processes()) == 3


def test_an_adopted_one_that_dies_is_started_again(both: Host) -> None:
    kill_supervisor(both)
    adopts(both, 3)
    pid = both.observed("blue-0").pid
    os.kill(pid or 0, signal.SIGKILL)

    after = both.wait("blue-0", until=another_than(pid))["blue-0"]

    assert after.restarts == 1
    assert len(both.processes()) == 3


def test_one_that_drains_is_not_told_again_and_ends() -> None:
    """Told twice, a server cuts off what is in flight."""
    with running_both(drain_delay=4.0) as both:  # long enough for another supervisor to start
        both.want(green=Slot(bundle=BUNDLE))
        both.wait("green-0", until=lambda seen: seen.stopping)
        kill_supervisor(both)

        adopts(both, 3)
        both.wait("green-0", until=lambda seen: seen.pid is None)

        assert "draining: refusing new calls; 0 in flight have 30 s at most" in both.layout.log("green-0").read_text()
        assert len(both.processes()) == 2


def test_what_was_not_wanted_any_more_meanwhile_is_ended(both: Host) -> None:
    kill_supervisor(both)
    both.want(green=Slot(bundle=BUNDLE))

    adopts(both, 3)
    both.wait("green-0", until=lambda seen: seen.pid is None)

    assert "nothing is in flight" in both.layout.log("green-0").read_text()
    assert len(both.processes()) == 2


def test_a_server_on_an_address_that_is_not_its_own_any_more_moves(both: Host) -> None:
    before = {name: both.observed(name) for name in ("blue-0", "green-0")}
    kill_supervisor(both)
    document = yaml.safe_load(both.config_file.read_text())
    document["colors"]["green"]["endpoints"] = [free_address()]
    both.config_file.write_text(yaml.safe_dump(document))

    adopts(both, 3)
    both.wait("green-0", until=another_than(before["green-0"].pid))

    assert both.observed("blue-0") == before["blue-0"]
    assert both.answers(document["colors"]["green"]["endpoints"][0])


def test_a_server_whose_place_is_not_there_any_more_is_ended(both: Host) -> None:
    kill_supervisor(both)
    document = yaml.safe_load(both.config_file.read_text())
    document["colors"]["green"]["endpoints"] = ["green.invalid:50051"]
    document["colors"]["green"]["discovery"] = "dns"
    both.config_file.write_text(yaml.safe_dump(document))

    adopts(both, 3)
    both.wait("green-0", until=lambda seen: seen.pid is None)

    assert len(both.processes()) == 2


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_converges(seed: int) -> None:
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="intently-") as name, host(Path(name)) as made:
        made.want(blue=running())
        for turn in range(6):
            made.want(green=running() if turn % 2 else Slot(bundle=BUNDLE))
            made.start()
            time.sleep(moments.uniform(0.3, 1.5))  # from before it has the lock to well after all runs
            kill_supervisor(made)

        supervisor = made.start()
        made.wait_held(supervisor)
        made.wait("envoy", "blue-0", "green-0", until=lambda seen: seen.ready and len(made.processes()) == 3)
        assert made.answers(made.config.listener.address)
        assert len(made.processes()) == 3

        supervisor.terminate()
        assert supervisor.wait(60) == 0
        assert made.processes() == []


def test_a_process_that_only_names_the_same_files_is_left_alone(both: Host) -> None:
    """The adoption goes by command lines: those of people who look at the files are none of its."""
    files = ("-c", str(both.layout.bootstrap), str(both.layout.ready(Color.BLUE, 0)))
    kill_supervisor(both)
    with subprocess.Popen([sys.executable, "-c", "input()", *files], stdin=subprocess.PIPE) as bystander:
        adopts(both, 3)
        both.supervisors[-1].terminate()
        assert both.supervisors[-1].wait(60) == 0

        assert [process.pid for process in both.processes()] == [bystander.pid]
        assert bystander.poll() is None
