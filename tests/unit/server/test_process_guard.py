"""What a guard ends once its owner is killed: whatever was started under its mark, even if nobody told it of that."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from intently_server.engine.process_guard import GUARD_SCRIPT

_ENDED_WITHIN_S = 30.0  # on a busy machine

SLEEP = "import time; time.sleep(600)"
OWNER = f"""
import asyncio, logging, subprocess, sys
import psutil
from intently_server.engine.process_guard import ProcessGuard

SLEEP = [sys.executable, "-c", {SLEEP!r}]
NESTED = f"import subprocess, time; subprocess.Popen({{SLEEP}}); time.sleep(600)"
logging.basicConfig(stream=sys.stdout)
guard = ProcessGuard()
guard.watch(psutil.Process().children())  # the guard itself, which must not be the first that it kills
with guard.marking():
    subprocess.Popen([sys.executable, "-c", NESTED], start_new_session=True)
subprocess.Popen(SLEEP, start_new_session=True)
print("started", flush=True)
asyncio.run(guard.keep())
"""


@pytest.fixture
def owner() -> Iterator["subprocess.Popen[str]"]:
    """A process that has a guard, starts one process under its mark, which starts another, and one without."""
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    below: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        while len(below) < 4:
            below = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()
        for each in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        assert process.stdout is not None
        process.stdout.close()


def guard_of(owner: "subprocess.Popen[str]") -> psutil.Process:
    [guard] = [each for each in children(owner) if str(GUARD_SCRIPT) in each.cmdline()]
    return guard


def children(owner: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(owner.pid).children(recursive=True)


def unmarked_of(owner: "subprocess.Popen[str]") -> psutil.Process:
    [unmarked] = [each for each in psutil.Process(owner.pid).children() if each.cmdline()[-1:] == [SLEEP]]
    return unmarked


def test_what_has_the_mark_ends_with_its_owner_and_nothing_else_does(owner: "subprocess.Popen[str]") -> None:
    below, guard = children(owner), guard_of(owner)
    unmarked = unmarked_of(owner)

    owner.kill()

    ended, living = psutil.wait_procs([each for each in below if each != unmarked], timeout=_ENDED_WITHIN_S)
    assert living == []
    assert guard in ended
    assert unmarked.is_running()


def test_a_guard_that_was_killed_is_replaced_by_one_that_ends_the_same(owner: "subprocess.Popen[str]") -> None:
    assert owner.stdout is not None
    unmarked = unmarked_of(owner)
    first = guard_of(owner)

    first.send_signal(signal.SIGKILL)
    assert "has died (exit code -9); another is started" in owner.stdout.readline()
    while not any(str(GUARD_SCRIPT) in each.cmdline() for each in children(owner)):
        time.sleep(0.02)
    below = children(owner)
    owner.kill()

    assert psutil.wait_procs([each for each in below if each != unmarked], timeout=_ENDED_WITHIN_S)[1] == []
