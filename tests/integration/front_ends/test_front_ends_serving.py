"""Two front ends on one address share an engine: what callers see of them while they serve, die and are replaced.

One server for all of it, which the last test ends.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.admin_caller import metrics
from support.stream_caller import StreamCaller
from support.together import FRONT_ENDS, Together, connections, health, left_of, run_to_the_end, together
from support.unreadable_path import UNREADABLE, send_path

CONNECTIONS = 40  # all on one front end: once in 2^39
HELLO = pb.ClassifyRequest(text="hello")
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
COUNTED = "intently_server_calls_total"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    """A server that takes 20 ms for 8 requests, with the folder of its sockets in a short path."""
    with together(tmp_path_factory.mktemp("t"), "--step-ms", "20", "--batch", "8", "--drain-delay", "0") as server:
        yield server


async def test_the_kernel_spreads_connections_and_all_get_the_same_answers(server: Together, bundle: Bundle) -> None:
    golden = bundle.model.golden_vectors[0]
    best = bundle.model.intents[max(range(len(bundle.model.intents)), key=lambda row: golden.probabilities[row])]
    async with connections(server.address, CONNECTIONS) as stubs:
        streams = [StreamCaller(stub) for stub in stubs]
        for stream in streams:
            await stream.open()
        rows = await server.rows()
        answers = await asyncio.gather(*(stub.Classify(pb.ClassifyRequest(text=golden.text)) for stub in stubs))

        os.killpg(server.process.pid, signal.SIGUSR1)  # as `kill -USR1 %1` does

        rest = [[message.WhichOneof("message") for message in await stream.rest()] for stream in streams]

    assert len({row["pid"] for row in rows}) == FRONT_ENDS
    assert all(row["calls"] > 0 for row in rows)
    assert sum(row["calls"] for row in rows) == CONNECTIONS
    assert {answer.predictions[0].intent for answer in answers} == {best}
    assert rest == [["drain"]] * CONNECTIONS


async def test_each_answers_on_a_port_of_its_own(server: Together) -> None:
    assert len(server.own) == FRONT_ENDS
    for place, address in enumerate(server.own):
        async with connections(address) as [stub], health(address) as asked:
            stream = StreamCaller(stub)
            await stream.open()

            assert [row["calls"] for row in await server.rows()] == [int(each == place) for each in range(FRONT_ENDS)]
            assert (await asked.Check(READINESS)).status == health_pb2.HealthCheckResponse.SERVING
            await stream.finish()


async def test_no_call_is_lost_when_somebody_removes_their_sockets(server: Together) -> None:
    paths = [path for path in server.folder.glob("intently-*/*") if path.name.isdecimal()]
    assert len(paths) == FRONT_ENDS
    async with connections(server.own[0]) as [stub], connections(server.own[1]) as [other]:
        calls = [asyncio.ensure_future(each.Classify(HELLO)) for each in (stub, other) for _ in range(64)]
        for path in paths:
            path.unlink()
        answers = list(await asyncio.gather(*calls))
        for _ in range(25):  # longer than some looks take
            answers += await asyncio.gather(stub.Classify(HELLO), other.Classify(HELLO))
    assert all(answer.predictions for answer in answers)
    said = server.log.read_text()
    assert (said.count("somebody has removed the path"), said.count("listening again")) == (FRONT_ENDS, 0)


async def test_a_server_of_grpc_that_ends_at_one_ends_at_no_other(server: Together) -> None:
    async with connections(server.own[1]) as [other]:
        stream = StreamCaller(other)
        await stream.open()
        with contextlib.closing(send_path(server.own[0], b"/" + UNREADABLE)):
            await server.said("listening again")
            async with connections(server.own[0]) as [stub]:
                assert (await stub.Classify(HELLO, wait_for_ready=True)).predictions
        await stream.item("a")
        assert (await stream.receive()).response.request_id == "a"
        await stream.finish()


async def test_no_second_server_comes_on_its_ports(server: Together, tmp_path: Path) -> None:
    ports = ("--front-end-port", server.own[0].rpartition(":")[2])
    ended = await asyncio.gather(
        run_to_the_end(tmp_path, "--address", server.address),
        run_to_the_end(tmp_path, "--address", "127.0.0.1:0", *ports),
    )

    assert [code for code, _ in ended] == [2, 2]
    for (_, said), named in zip(ended, (server.address, server.own[0]), strict=True):
        assert said.splitlines()[-1].startswith(f"intently-server: cannot listen on {named}: ")


async def test_when_one_is_killed_the_others_go_on_and_another_takes_its_place(server: Together) -> None:
    victim, other = await server.at(1), await server.at(0)
    async with connections(server.own[0]) as [stub], connections(server.own[1]) as [lost]:
        stream = StreamCaller(stub)
        await stream.open()
        lost_stream = StreamCaller(lost)
        await lost_stream.open()
        counted = (await metrics(server.admin)).sum(COUNTED)

        victim.kill()
        assert left_of([victim]) == []
        # Whoever comes now gets to one that can answer.
        replaced = asyncio.ensure_future(server.replaced(victim))
        calls = 0
        while not replaced.done():
            async with connections(server.address) as [newcomer]:
                assert (await newcomer.Classify(HELLO)).predictions
            calls += 1
        await replaced
        await stream.item("a")

        assert (await stream.receive()).response.request_id == "a"
        with pytest.raises(grpc.aio.AioRpcError):
            await lost_stream.receive()
        await stream.finish()
    async with connections(server.own[1]) as [stub]:
        assert (await stub.Classify(HELLO)).predictions
    assert await server.at(0) == other
    # The streams of before are two that had not ended when it was asked.
    assert (await metrics(server.admin)).sum(COUNTED) >= counted + calls + 1


async def test_two_that_die_together_are_both_replaced(server: Together) -> None:
    victims = [await server.at(0), await server.at(1)]
    for victim in victims:
        victim.kill()

    await server.replaced(*victims)

    for address in (server.address, *server.own):
        async with connections(address) as [stub]:
            assert (await stub.Classify(HELLO, wait_for_ready=True)).predictions


async def test_told_to_end_by_signals_to_all_it_answers_what_is_in_flight(server: Together) -> None:
    below, logged = server.below(), len(server.log.read_text())
    batch = pb.BatchClassifyRequest(requests=[HELLO] * 16)
    async with contextlib.AsyncExitStack() as stack:
        stubs = [stub for own in server.own for stub in await stack.enter_async_context(connections(own, 4))]
        batches = [asyncio.ensure_future(stub.BatchClassify(batch)) for stub in stubs]
        await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)

        os.killpg(server.process.pid, signal.SIGINT)  # Ctrl-C

        results = [result for answer in await asyncio.gather(*batches) for result in answer.results]
    assert [result.WhichOneof("result") for result in results] == ["response"] * 16 * 4 * FRONT_ENDS
    assert await server.ended() == 0
    assert left_of(below) == []
    assert list(server.folder.glob("intently-*")) == []
    log = server.log.read_text()[logged:]
    assert log.count("stopping: nothing is in flight") == FRONT_ENDS
    assert "hurried" not in log
    assert "Traceback" not in log
