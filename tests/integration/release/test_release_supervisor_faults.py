"""Servers that do not start, or do not get ready: each is tried again, told of, and never left behind."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_release.release.packaged import revision_of
from support.bundles import changed, copy_bundle
from support.paths import BUNDLE
from support.supervised import Host, host, running

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

_NEVER_READY = (sys.executable, "-c", "import time; time.sleep(3600)")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="intently-") as name:
        yield Path(name)


def started(on: Host) -> int:
    """How often the log says that blue's server was started."""
    return on.layout.log("blue-0").read_text().count(": starting")


def test_a_server_that_never_starts_is_tried_again_and_its_log_is_kept(folder: Path) -> None:
    (folder / "empty").mkdir()
    with host(folder) as made:
        made.want(blue=running(folder / "empty"))
        made.start()
        seen = made.wait("blue-0", until=lambda seen: seen.restarts >= 2 and seen.last_exit != "")["blue-0"]

        assert (seen.last_exit, seen.ready) == ("exit code 1", False)
        assert started(made) >= 3
        assert made.layout.log("blue-0").read_text().count("BundleError") >= 2
        said = made.said.read_text()
        assert said.index("started again in 0.1 s") < said.index("in 0.2 s")
        assert made.wait("envoy")["envoy"].restarts == 0

        made.want(blue=running())
        assert made.wait("blue-0")["blue-0"].restarts == 0
        assert made.answers(made.config.listener.address)


def test_a_command_that_is_not_there_is_named(folder: Path) -> None:
    with host(folder, command=("intently-servre",)) as made:
        made.want(blue=running())
        supervisor = made.start()
        seen = made.wait("envoy", "blue-0", until=lambda seen: seen.ready or seen.restarts >= 2)["blue-0"]

        assert "cannot be started" in seen.last_exit
        assert "intently-servre" in seen.last_exit
        supervisor.terminate()
        assert supervisor.wait(60) == 0
        assert made.processes() == []


def test_a_server_that_does_not_get_ready_is_started_again(folder: Path) -> None:
    with host(folder, command=_NEVER_READY, start_timeout=0.3) as made:
        made.want(blue=running())
        supervisor = made.start()
        seen = made.wait("blue-0", until=lambda seen: seen.restarts >= 1)["blue-0"]

        assert seen.last_exit == "was not ready within 0.3 s"
        supervisor.terminate()
        assert supervisor.wait(60) == 0
        assert made.processes() == []


def test_a_bundle_that_was_overwritten_is_not_released_by_a_restart(folder: Path) -> None:
    bundle = copy_bundle(BUNDLE, folder / "bundle")
    released, manifest = revision_of(bundle), (bundle / "bundle.json").read_text()
    with host(folder) as made:
        made.want(blue=running(bundle, released))
        made.start()
        before = made.wait("envoy", "blue-0")["blue-0"]
        there_now = changed(bundle)
        os.kill(before.pid or 0, signal.SIGKILL)

        withheld = made.wait("blue-0", until=lambda seen: seen.last_exit.startswith("not started"))["blue-0"]

        assert (withheld.pid, withheld.restarts) == (None, 0)
        for said in (str(bundle), there_now[:12], released[:12], "intently-release deploy"):
            assert said in withheld.last_exit
        made.wait_said("blue-0: not started")
        assert started(made) == 1

        (bundle / "bundle.json").write_text(manifest)
        made.wait("blue-0")
        assert started(made) == 2
