"""Streams of a color that is kept move to the one that has the traffic, with no item lost, and can be had back."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from intently import IntentClient
from intently_release.colors import Color
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.state import History
from support.release_stack import Done, Stack, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

PLAN = {"steps": [50, 100], "dwell": 0.2, "bake": 0.2, "poll": 0.1, "patience": 20.0, "stream_patience": 20.0}
STREAMS = 8


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    """A stack whose releases are quick."""
    quick = {"health": {"interval": 0.1}}
    with stack("--step-ms", "2", "--batch", "64", releasing=PLAN, traffic=quick, servers={"drain_delay": 0.2}) as made:
        yield made


@pytest.fixture
async def load(made: Stack) -> AsyncIterator[RestartLoad]:
    """Calls and streams through Envoy, ordered and not, until the test ends: none of them may fail."""
    load = RestartLoad(made.address)
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

    done = await run(made, "deploy", str(made.another()))
    await all_on(made, load, old.other)
    back = await run(made, "rollback")
    await all_on(made, load, old)
    await run(made, "promote")
    await all_on(made, load, old.other)

    kinds = [event["event"] for event in done.events if event["event"] != "look"]
    assert kinds[-3:] == ["promoted", "moving", "moved"]
    assert (done.event("moving")["open"], done.event("moved")["open"]) == (STREAMS, 0)
    assert back.events[0]["applied_s"] < 1
    assert happened(made, 4) == [
        ("promoted", old.other),
        ("streams moved", old),
        ("rolled back", old),
        ("promoted", old.other),
    ]


async def test_killed_before_they_have_moved_it_sees_to_it_when_it_is_run_again(made: Stack, load: RestartLoad) -> None:
    """And tells of the one that stays: it asks for the old revision."""
    old, bundle = stable_of(made), str(made.another())
    revision, document = made.state["slots"][old]["revision"], made.document()

    def killed() -> None:
        process = made.start("deploy", bundle)
        wait_for(process, "promoted")
        process.send_signal(signal.SIGKILL)
        process.communicate()

    async with IntentClient(made.address) as client, client.stream(revision=revision) as stream:
        await stream.classify("before")
        await asyncio.to_thread(killed)
        made.write({**document, "releasing": {**PLAN, "stream_patience": 0.5}})
        again = await run(made, "deploy", bundle)
        made.write(document)
        answer = await stream.classify("after")
    await all_on(made, load, old.other)

    assert [event["event"] for event in again.events] == ["already_live", "moving", "moved"]
    assert again.event("moved")["open"] == 1
    assert "1 stream is still open" in again.event("moved")["text"]
    assert answer.message.model.revision == revision
    assert happened(made, 2) == [("promoted", old.other), ("streams moved", old)]
