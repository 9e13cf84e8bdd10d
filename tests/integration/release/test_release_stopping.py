"""A release that is told to stop: by a signal, and by `abort` from another shell. Callers notice neither."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from intently_release.colors import Color, all_to
from support.release_stack import Stack, finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

PAUSE_S = 0.05


@pytest.fixture(scope="module")
def patient() -> Iterator[Stack]:
    """A stack whose steps last longer than the tests."""
    with stack(
        "--step-ms", "2", "--batch", "64", releasing={"dwell": 60.0, "patience": 90.0, "steps": [50, 100]}
    ) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_who_is_told_to_stop_leaves_no_canary_unjudged(patient: Stack, number: signal.Signals) -> None:
    patient.settle()
    stable, before = Color(patient.state["stable"]), patient.state["slots"]
    deploy, load = patient.start("deploy", str(patient.another())), RestartLoad(patient.address, PAUSE_S)
    async with load.running(callers=2, bare=2, streams=2):
        await asyncio.to_thread(wait_for, deploy, "shifted")
        deploy.send_signal(number)
        done = await asyncio.to_thread(finished, deploy)
        await load.wait_more_than(load.answered.copy())

    assert (done.code, load.failures) == (130, [])
    assert "goes on" in done.errors
    state = patient.state
    assert (state["weights"], state["release"]["phase"]) == (all_to(stable), "shifting")
    assert state["slots"][stable.other]["moves"] == before[stable.other].get("moves", 0) + 1
    assert patient.run("history", "-n", "1").events[0]["event"] == "interrupted"


async def test_what_was_interrupted_goes_on(patient: Stack) -> None:
    patient.settle()
    stable = Color(patient.state["stable"])
    deploy = patient.start("deploy", str(patient.another()))
    await asyncio.to_thread(wait_for, deploy, "shifted")
    deploy.terminate()
    await asyncio.to_thread(finished, deploy)
    load = RestartLoad(patient.address)
    async with load.running(callers=2, bare=2, streams=2):
        bundle = patient.state["slots"][stable.other]["bundle"]
        done = await asyncio.to_thread(patient.run, "deploy", bundle, "--fast")

    assert (done.code, load.failures) == (0, []), done.errors
    assert [event["percent"] for event in done.events if event["event"] == "shifted"] == [50, 100]
    assert patient.state["stable"] == stable.other
    assert patient.run("rollback").code == 0
    again = patient.run("rollback")
    assert (again.code, "nothing to go back to" in again.errors) == (2, True)


async def test_abort_ends_a_release_that_runs(patient: Stack) -> None:
    patient.settle()
    stable = Color(patient.state["stable"])
    deploy, load = patient.start("deploy", str(patient.another())), RestartLoad(patient.address, PAUSE_S)
    async with load.running(callers=2, bare=2, streams=2):
        await asyncio.to_thread(wait_for, deploy, "shifted")
        shifted = await asyncio.to_thread(patient.run, "shift", "0")
        aborted = await asyncio.to_thread(patient.run, "abort")
        done = await asyncio.to_thread(finished, deploy)

    assert (shifted.code, "deploy" in shifted.errors) == (2, True)
    assert (aborted.code, done.code, load.failures) == (0, 130, []), aborted.errors
    state = patient.state
    assert (state["weights"], state["release"]) == (all_to(stable), None)
    assert state["slots"][stable.other]["wanted"] == "stopped"
