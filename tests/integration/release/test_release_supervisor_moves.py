"""How the supervisor lets streams move: each server is told once, by whichever supervisor, and none is ended by it."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.state import Seen, Slot
from intently_release.supervise.keeper import Keeper
from intently_release.supervise.program import Program
from support.stream_caller import StreamCaller
from support.supervised import Host, host, running

_DEAF = """
import pathlib, signal, sys
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""
_HEARS = """
import pathlib, signal, sys
told = []
def tell(*_):
    told.append(1)
    pathlib.Path(sys.argv[1]).write_text(str(len(told)))
signal.signal(signal.SIGUSR1, tell)
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


async def keep(keeper: Keeper, wanted: Program, until: Callable[[Seen], bool]) -> Seen:
    """Keeps it until that is so, and for some looks more."""
    async with asyncio.timeout(30):
        looks = 0
        while looks < 5:
            await keeper.keep(wanted)
            looks += until(keeper.seen())
            await asyncio.sleep(0.01)
    return keeper.seen()


def program(source: str, ready: Path, moves: int) -> Program:
    """Runs this Python, whose streams were to move so often."""
    return Program((sys.executable, "-c", source, str(ready)), moves=moves)


async def test_a_server_is_told_once_for_each_time(keeper: Keeper, ready: Path) -> None:
    started = await keep(keeper, program(_HEARS, ready, 3), lambda seen: seen.ready)
    before = ready.read_text()  # noqa: ASYNC240

    await keep(keeper, program(_HEARS, ready, 4), lambda _: ready.read_text() == "1")
    seen = await keep(keeper, program(_HEARS, ready, 5), lambda _: ready.read_text() == "2")

    assert before == ""  # it has no streams that were to move before it was started
    assert (seen.pid, seen.moves, seen.deaf, seen.restarts) == (started.pid, 5, False, 0)


async def test_a_server_that_does_not_know_the_signal_is_not_ended_by_it(keeper: Keeper, ready: Path) -> None:
    started = await keep(keeper, program(_DEAF, ready, 0), lambda seen: seen.ready)

    seen = await keep(keeper, program(_DEAF, ready, 1), lambda seen: seen.moves == 1)

    assert (seen.pid, seen.ready, seen.restarts, seen.last_exit) == (started.pid, True, 0, "")
    assert (started.deaf, seen.deaf) == (False, True)


@pytest.fixture
def one() -> Iterator[Host]:
    """A host with a short path: a socket's has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="ir-", dir="/tmp") as folder, host(Path(folder)) as made:
        yield made


def kept(moves: int) -> Slot:
    """A slot that runs, and whose streams were to move so often."""
    return running().model_copy(update={"moves": moves})


@pytest.mark.envoy
@pytest.mark.timeout(120)
async def test_who_takes_a_supervisor_s_place_tells_what_it_had_not(one: Host) -> None:
    one.want(blue=running(), green=running())
    first = one.start()
    await asyncio.to_thread(one.wait, "blue-0", "green-0")
    async with grpc.aio.insecure_channel(one.config.colors.green.endpoints[0]) as channel:
        intents = IntentServiceStub(channel)

        async def opened() -> StreamCaller:
            stream = StreamCaller(intents)
            await stream.open()
            return stream

        streams = [await opened()]
        one.want(green=kept(1))
        kinds = [[message.WhichOneof("message") for message in await streams[0].rest()]]
        await asyncio.to_thread(one.wait, "green-0", until=lambda seen: seen.moves == 1)
        first.kill()
        first.wait()

        staying = await opened()
        second = one.start()
        await asyncio.to_thread(one.wait_held, second)
        await asyncio.to_thread(one.wait, "blue-0", "green-0")
        await staying.item("a")
        answer = await staying.receive()
        second.kill()
        second.wait()

        one.want(green=kept(2))
        one.start()
        kinds.append([message.WhichOneof("message") for message in await staying.rest()])

    assert kinds == [["drain"], ["drain"]]
    assert answer.response.request_id == "a"
