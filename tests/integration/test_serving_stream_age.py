"""How a stream ends of itself: at its greatest age, and at the end of the grace, with one answer for every item."""

import asyncio

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.in_memory import StartInMemory
from support.stream_caller import StreamCaller
from support.wire import fields_of, reason_of, rich_status


async def test_an_old_stream_ends_in_order(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_max_age=0.3)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("in flight")

    notice = await stream.receive()
    await stream.item("too late")
    refused = await stream.receive()
    server.engine.release()
    rest = await stream.rest()

    assert notice.drain.reason == pb.DRAIN_REASON_MAX_AGE
    assert notice.drain.grace.seconds == 30
    assert reason_of(refused.error.status) == "DRAINING"
    assert [answer.response.request_id for answer in rest] == ["in flight"]
    assert (await server.served.intents.Classify(pb.ClassifyRequest(text="hello"))).predictions


async def test_an_old_stream_in_order_hears_of_it_before_its_answers(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_max_age=0.3)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open(ordered=True)
    await stream.item("in flight")

    assert (await stream.receive()).HasField("drain")
    server.engine.release()
    assert [answer.response.request_id for answer in await stream.rest()] == ["in flight"]


async def test_streams_opened_together_do_not_end_together(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_max_age=2.0)
    loop = asyncio.get_running_loop()

    async def age() -> float:
        stream = StreamCaller(server.served.intents)
        began = loop.time()
        await stream.open()
        [notice] = await stream.rest()
        assert notice.drain.reason == pb.DRAIN_REASON_MAX_AGE
        return loop.time() - began

    ages = await asyncio.gather(*(age() for _ in range(20)))

    assert min(ages) >= 1.8
    assert max(ages) - min(ages) > 0.02  # of a tenth of two seconds, drawn twenty times


@pytest.mark.parametrize("config", [{}, {"ordered": True}, {"accumulate_context": True}])
async def test_what_the_grace_was_too_short_for_is_answered_with_why(
    start_in_memory: StartInMemory, config: dict[str, bool]
) -> None:
    server = await start_in_memory(stream_max_age=0.2, drain_timeout=0.5)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open(**config)
    for request_id in "abc":
        await stream.item(request_id)

    notice, *answers = await stream.rest()

    assert notice.HasField("drain")
    assert sorted(answer.error.request_id for answer in answers) == ["a", "b", "c"]
    assert {reason_of(answer.error.status) for answer in answers} == {"DRAINING"}
    await server.engine.wait_running(0)


async def test_a_stream_that_never_begins_ends_soon(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_begin_timeout=0.2)
    stream = StreamCaller(server.served.intents)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.receive()

    assert reason_of(rich_status(caught.value)) == "INVALID_INPUT"
    assert fields_of(rich_status(caught.value)) == ["config"]


async def test_a_caller_that_reads_late_finds_every_answer_and_the_end(start_in_memory: StartInMemory) -> None:
    """The answers of a caller that reads none fill its window, and then the server's writing stands still."""
    server = await start_in_memory(stream_max_age=1.0, drain_timeout=0.2, stream_max_in_flight=4)
    stream = StreamCaller(server.served.intents)
    await stream.open()
    sent: list[str] = []
    enough = asyncio.Event()
    writing = asyncio.ensure_future(_write(stream, sent, enough))
    await asyncio.wait([writing], timeout=2.5)  # until the stream is old, and its grace over
    enough.set()  # gRPC tells of a write that comes too late in place of how the stream ended

    answers = await stream.rest()
    writing.cancel()

    ids = [message.response.request_id or message.error.request_id for message in answers]
    notices = [message for message in answers if message.HasField("drain")]
    assert [notice.drain.reason for notice in notices] == [pb.DRAIN_REASON_MAX_AGE]
    answered = [request_id for request_id in ids if request_id]
    assert len(set(answered)) == len(answered) > 100
    assert set(answered) <= set(sent)
    assert server.engine.load().running == 0


async def _write(stream: StreamCaller, sent: list[str], enough: asyncio.Event) -> None:
    """Sends until the server reads no more, or it is enough."""
    for number in range(5_000):
        if enough.is_set():
            return
        sent.append(str(number))
        request = pb.ClassifyRequest(request_id=str(number), text=f"text {number}", top_k=150)
        await stream.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request)))
