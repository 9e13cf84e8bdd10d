"""Streams that are told to move: each ends in order and opens anew, and nothing else of the server changes."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from intently import Classification, IntentClient
from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from intently_server.types import Role, Turn
from support.in_memory import InMemory
from support.in_memory_server import InMemoryServer, in_memory_server
from support.stream_caller import StreamCaller
from support.wire import reason_of

HELLO = pb.ClassifyRequest(text="hello")
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
MOVES = 20


async def opened(server: InMemory, **config: bool) -> StreamCaller:
    """A stream that is open."""
    stream = StreamCaller(server.served.intents)
    await stream.open(**config)
    return stream


async def test_a_stream_that_moves_finishes_what_is_in_flight_and_ends_in_order(server: InMemory) -> None:
    server.engine.hold()
    stream = await opened(server)
    await stream.item("in flight")
    await server.engine.wait_running(1)

    server.served.stream_ages.move()
    notice = await stream.receive()
    await stream.item("too late")
    refused = await stream.receive()
    server.engine.release()

    assert notice.drain.reason == pb.DRAIN_REASON_MAX_AGE
    assert notice.drain.grace.seconds == 30
    assert reason_of(refused.error.status) == "DRAINING"
    assert [answer.response.request_id for answer in await stream.rest()] == ["in flight"]


async def test_nothing_but_the_open_streams_takes_notice(server: InMemory) -> None:
    watch = server.served.health.Watch(READINESS)
    serving = await watch.read()
    stream = await opened(server)
    server.engine.hold()
    unary = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    batch = asyncio.ensure_future(server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO])))
    await server.engine.wait_running(2)

    server.served.stream_ages.move()
    assert [message.WhichOneof("message") for message in await stream.rest()] == ["drain"]
    server.engine.release()
    later = await opened(server)
    await later.item("a")

    assert (await unary).predictions
    assert (await batch).results[0].response.predictions
    assert (await later.receive()).response.request_id == "a"
    assert [message.WhichOneof("message") for message in await later.finish()] == []
    assert (await server.served.health.Check(READINESS)).status == serving.status
    assert not server.served.exit_code.done()


async def test_each_stream_is_told_once(server: InMemory) -> None:
    ages = server.served.stream_ages
    server.engine.hold()
    first = [await opened(server) for _ in range(3)]
    for stream in first:
        await stream.item("in flight")
    await server.engine.wait_running(3)

    told = [ages.move()[0], ages.move()[0]]
    second = await opened(server)
    told.append(ages.move()[0])
    notices = [(await stream.receive()).WhichOneof("message") for stream in [*first, second]]
    told.append(ages.move()[0])
    server.engine.release()

    rest = [[message.WhichOneof("message") for message in await stream.rest()] for stream in [*first, second]]
    assert told == [3, 0, 1, 0]
    assert notices == ["drain"] * 4
    assert rest == [["response"]] * 3 + [[]]


async def test_a_stream_that_has_not_begun_moves_once_it_has(server: InMemory) -> None:
    """Where it goes was decided when it was opened."""
    ages, stream = server.served.stream_ages, StreamCaller(server.served.intents)
    await stream.call.wait_for_connection()
    while ages.move()[0] == 0:  # noqa: ASYNC110  # a server tells nobody that a stream was opened
        await asyncio.sleep(0.005)

    await stream.open()

    assert [message.WhichOneof("message") for message in await stream.rest()] == ["drain"]


async def test_a_draining_server_tells_its_streams_once(server: InMemory) -> None:
    server.engine.hold()
    stream = await opened(server)
    await stream.item("in flight")
    await server.engine.wait_running(1)

    server.served.stop.set()
    notice = await stream.receive()
    server.served.stream_ages.move()
    server.engine.release()

    assert notice.drain.reason == pb.DRAIN_REASON_SHUTDOWN
    assert [message.WhichOneof("message") for message in await stream.rest()] == ["response"]
    assert await server.served.exit_code == 0


async def test_a_server_that_drains_before_their_turn_has_come_tells_its_streams_at_once(server: InMemory) -> None:
    streams = [await opened(server) for _ in range(50)]

    server.served.stream_ages.move()
    server.served.stop.set()
    kinds = [[message.WhichOneof("message") for message in await stream.rest()] for stream in streams]

    assert kinds == [["drain"]] * 50
    assert await server.served.exit_code == 0


@contextlib.asynccontextmanager
async def moving(server: InMemory) -> AsyncIterator[list[int]]:
    """Tells streams to move, again and again, while the block runs; yields how many that were, each time."""
    told: list[int] = []

    async def move() -> None:
        for _ in range(MOVES):
            told.append(server.served.stream_ages.move()[0])
            await asyncio.sleep(0.02)

    task = asyncio.create_task(move())
    yield told
    await task


@pytest.mark.parametrize(("ordered", "accumulates"), [(False, False), (True, False), (False, True)])
async def test_under_sending_nothing_is_lost_or_doubled(
    server: InMemory, bundle: Bundle, ordered: bool, accumulates: bool
) -> None:
    sent: list[str] = []
    async with (
        IntentClient(server.served.address) as client,
        client.stream(ordered=ordered, accumulate_context=accumulates) as stream,
    ):

        async def send() -> int:
            async with moving(server) as told:
                while len(sent) < 200:
                    sent.append(await stream.send(f"text {len(sent)}"))
                    await asyncio.sleep(0.002)
            await stream.done()
            return sum(told)

        sending = asyncio.create_task(send())
        answers = [answer async for answer in stream]

    ids = [answer.request_id for answer in answers]
    assert sorted(ids) == sorted(sent)
    assert ids == sent or not (ordered or accumulates)
    assert all(isinstance(answer.result, Classification) for answer in answers)
    assert await sending > 1
    if accumulates:
        said = [Turn(Role.USER, f"text {number}") for number in range(199)][-bundle.model.limits.max_context_turns :]
        assert server.engine.prompts[-1] == tuple(bundle.encoder.encode("text 199", said).token_ids)


def catches_sigusr1(process: "subprocess.Popen[bytes]") -> bool:
    """Whether that signal would reach a handler of this process."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (signal.SIGUSR1 - 1) & 1)


def moved(server: InMemoryServer) -> list[str]:
    """What its log says of moves."""
    return [line for line in server.log.read_text().splitlines() if "moving:" in line]


async def test_the_signal_moves_streams_and_ends_no_server(tmp_path: Path) -> None:
    with in_memory_server(tmp_path, "--drain-delay", "0.2") as server:
        assert catches_sigusr1(server.process)
        os.kill(server.process.pid, signal.SIGUSR1)  # there is no stream yet
        async with grpc.aio.insecure_channel(server.address) as channel:
            intents = IntentServiceStub(channel)
            stream = StreamCaller(intents)
            await stream.open()
            for _ in range(3):
                os.kill(server.process.pid, signal.SIGUSR1)
            kinds = [message.WhichOneof("message") for message in await stream.rest()]
            assert (await intents.Classify(HELLO)).predictions
        server.process.terminate()
        with contextlib.suppress(ProcessLookupError):
            while server.process.poll() is None:
                os.kill(server.process.pid, signal.SIGUSR1)
                await asyncio.sleep(0.01)

        assert kinds == ["drain"]
        assert [line.rpartition("opened: ")[2] for line in moved(server)[:3]] == [
            "0, over 0 s",
            "1, over 0.001 s",
            "0, over 0 s",
        ]
        assert server.process.returncode == 0
        assert server.errors_logged() == []
