"""Streams of a color that is kept move to the one that has the traffic, with no item lost, and can be had back."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from intently import IntentClient
from intently_release.colors import Color
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.state import History, Store
from support.release_stack import Done, Stack, finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

PLAN: dict[str, Any] = {
    "releasing": {
        "steps": [50, 100],
        "dwell": 0.2,
        "bake": 0.2,
        "poll": 0.1,
        "patience": 60.0,
        "stream_patience": 60.0,
        "thresholds": {"p99_least_ms": 5000},
    },
    "servers": {"drain_delay": 0.2},
    # Quick to see that a server leaves; and what is slow, on a busy machine, is neither bad nor ill.
    "traffic": {"timeout": 30, "per_try_timeout": 15, "health": {"interval": 0.1, "timeout": 10}},
}
STREAMS = 8


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    """A stack whose releases are quick."""
    with stack("--step-ms", "2", "--batch", "64", **PLAN) as made:
        yield made


@pytest.fixture
async def load(made: Stack) -> AsyncIterator[RestartLoad]:
    """Calls and streams through Envoy, ordered and not, until the test ends: none of them may fail."""
    load = RestartLoad(made.address, pause_s=0.03)
    async with load.running(callers=3, bare=3, streams=STREAMS):
        await flows(load)
        yield load
        await flows(load)
    assert load.failures == []


async def flows(load: RestartLoad) -> None:
    """Returns once each stream has had answers, and more calls were answered."""
    load.on.clear()
    await load.wait_more_than(load.answered.copy())
    while len(load.on) < STREAMS:  # noqa: ASYNC110  # polled, as the load counts
        await asyncio.sleep(0.01)


async def run(made: Stack, *arguments: str) -> Done:
    """A command, which must end well."""
    done = await asyncio.to_thread(made.run, *arguments)
    assert done.code == 0, done.errors + made.logs()
    return done


async def all_on(made: Stack, load: RestartLoad, color: Color) -> None:
    """Returns once no stream is open to the other color, and all are answered by this one."""
    async with EnvoyAdmin(Layout(made.run_dir).admin_socket) as admin:
        while (await admin.streams_open())[color.other]:  # noqa: ASYNC110  # Envoy has to be asked
            await asyncio.sleep(0.02)
    await flows(load)
    assert set(load.on.values()) == {made.state["slots"][color]["revision"]}


def stable_of(made: Stack) -> Color:
    """The color that is stable now."""
    return Color(made.state["stable"])


def happened(made: Stack, last: int) -> list[tuple[str, Color | None]]:
    """What the history says was done last, and to which color."""
    return [(entry.event, entry.color) for entry in History(Layout(made.run_dir)).entries()[-last:]]


async def test_no_stream_is_left_on_the_color_that_is_kept(made: Stack, load: RestartLoad) -> None:
    old = stable_of(made)

    process = made.start("deploy", str(made.another()))
    await asyncio.to_thread(wait_for, process, "moving")
    with Store(Layout(made.run_dir)).held("rollback"):  # whoever waits for streams is in nobody's way
        done = await asyncio.to_thread(finished, process)
    assert done.code == 0, done.errors + made.logs()
    await all_on(made, load, old.other)
    back = await run(made, "rollback")
    await all_on(made, load, old)

    assert (done.events[-1]["event"], done.events[-1]["open"], done.events[-1]["ended"]) == ("moved", 0, "gone")
    assert back.events[0]["applied_s"] < 1
    assert happened(made, 3) == [("promoted", old.other), ("streams moved", old), ("rolled back", old)]


async def test_whoever_waits_for_streams_may_be_killed_passed_and_told_to_stop(made: Stack, load: RestartLoad) -> None:
    """One stream stays: it asks for the old revision, by which Envoy brings it back."""
    old, bundle = stable_of(made), str(made.another())
    revision = made.state["slots"][old]["revision"]

    async def waiting() -> "subprocess.Popen[str]":
        process = made.start("deploy", bundle)
        await asyncio.to_thread(wait_for, process, "moving")
        return process

    async with IntentClient(made.address) as client, client.stream(revision=revision) as stream:
        await stream.classify("before")
        killed = await waiting()
        killed.kill()
        killed.communicate()
        passed = await waiting()  # by the same command again: the release itself is done
        await run(made, "rollback")
        after = await asyncio.to_thread(finished, passed)
        await all_on(made, load, old)
        await run(made, "promote")
        told = await waiting()
        told.terminate()
        ended = await asyncio.to_thread(finished, told)
        answer = await stream.classify("after")
    await all_on(made, load, old.other)

    assert (after.code, ended.code) == (0, 0)
    assert [(done.event("moved")["ended"], done.events[-1]["event"]) for done in (after, ended)] == [
        ("given up", "moved"),
        ("given up", "moved"),
    ]
    assert "the release is done" in ended.errors
    assert answer.message.model.revision == revision
    assert happened(made, 3) == [("promoted", old.other), ("rolled back", old), ("promoted", old.other)]
