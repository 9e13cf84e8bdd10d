"""One place and real processes in it: those that will not end are killed, and what they had started with them."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from intently_release.state import Seen
from intently_release.supervise.child import Child
from intently_release.supervise.keeper import Keeper
from intently_release.supervise.program import Program

_STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""
_WITH_A_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(3600)
"""
_ENDS = "import sys; sys.exit(7)"


async def keep(keeper: Keeper, wanted: Program | None, until: Callable[[Seen], bool]) -> Seen:
    """Keeps it so until that is so of what is there."""
    async with asyncio.timeout(30):
        while not until(keeper.seen()):
            await keeper.keep(wanted)
            await asyncio.sleep(0.01)
    return keeper.seen()


def program(source: str, ready: Path) -> Program:
    """Runs this Python."""
    return Program((sys.executable, "-c", source, str(ready)))


async def test_one_that_will_not_end_is_killed(keeper: Keeper, ready: Path) -> None:
    await keep(keeper, program(_STUBBORN, ready), lambda seen: seen.ready)

    seen = await keep(keeper, None, lambda seen: seen.pid is None)

    assert (seen.last_exit, seen.stopping, seen.ready) == ("killed by SIGKILL", False, False)
    assert keeper.is_empty


async def test_while_it_is_ending_it_is_not_ready(keeper: Keeper, ready: Path) -> None:
    await keep(keeper, program(_STUBBORN, ready), lambda seen: seen.ready)

    await keeper.keep(None)

    assert (keeper.seen().ready, keeper.seen().stopping) == (False, True)


async def test_what_a_dead_one_had_started_ends_before_another_is_started(keeper: Keeper, ready: Path) -> None:
    first = await keep(keeper, program(_WITH_A_CHILD, ready), lambda seen: seen.ready)
    child = psutil.Process(int(ready.read_text()))  # noqa: ASYNC240
    os.kill(first.pid or 0, signal.SIGKILL)

    after = await keep(keeper, program(_WITH_A_CHILD, ready), lambda seen: seen.pid not in {None, first.pid})

    assert after.restarts == 1
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_restarts_are_counted_until_another_bundle_comes(keeper: Keeper, ready: Path) -> None:
    await keep(keeper, program(_ENDS, ready), lambda seen: seen.restarts == 3)

    assert keeper.seen().last_exit == "exit code 7"
    other = Program(program(_STUBBORN, ready).arguments, Path("/bundles/two"), "bb")
    seen = await keep(keeper, other, lambda seen: seen.ready)

    assert (seen.restarts, seen.bundle, seen.revision) == (0, Path("/bundles/two"), "bb")


async def test_one_that_is_dead_and_not_wanted_stays_dead(keeper: Keeper, ready: Path) -> None:
    await keep(keeper, program(_ENDS, ready), lambda seen: seen.last_exit != "")
    await keep(keeper, None, lambda seen: seen.pid is None)

    for _ in range(20):
        await keeper.keep(None)
        await asyncio.sleep(0.01)

    assert keeper.is_empty


async def test_output_is_added_to_the_log(tmp_path: Path) -> None:
    for text in ("one", "two"):
        child = Child.start(
            (sys.executable, "-c", "import os; print(os.environ['WHAT'])"), {"WHAT": text}, tmp_path / "logs" / "log"
        )
        async with asyncio.timeout(30):
            while not child.has_ended():  # noqa: ASYNC110  # it has to be asked
                await asyncio.sleep(0.01)
        assert child.last_exit == "exit code 0"

    lines = (tmp_path / "logs" / "log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("===")] == ["one", "two"]
    assert len(lines) == 4


async def test_the_configuration_alone_tells_a_server_of_front_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Envoy would not know of those that the environment of whoever runs `up` names."""
    for name in ("INTENTLY_FRONT_ENDS", "intently_front_end_port", "INTENTLY_MAX_IN_FLIGHT"):
        monkeypatch.setenv(name, "7")
    names = "import os; print(*sorted(name for name in os.environ if name.upper().startswith('INTENTLY_')))"
    child = Child.start((sys.executable, "-c", names), {"INTENTLY_MAX_WAIT": "1"}, tmp_path / "log")
    async with asyncio.timeout(30):
        while not child.has_ended():  # noqa: ASYNC110  # it has to be asked
            await asyncio.sleep(0.01)

    assert (tmp_path / "log").read_text().splitlines()[-1] == "INTENTLY_MAX_IN_FLIGHT INTENTLY_MAX_WAIT"
