"""Callers that do not read their answers are refused, before any work, and nobody else is."""

import asyncio
from contextlib import AsyncExitStack

from hyperframe.frame import WindowUpdateFrame

from intently.v1 import intent_service_pb2 as pb
from support.hostile.following import Heard, following
from support.hostile.peer import BATCH, CLASSIFY, STREAM, Peer, connect, data, framed
from support.in_memory import StartInMemory

OK, RESOURCE_EXHAUSTED = 0, 8
NO_WINDOW = {4: 0}
SMALL_WINDOW = {4: 300}  # a stream's beginning passes
BATCHES, SIZE = 12, 20
BATCH_OF_ALL = pb.BatchClassifyRequest(
    requests=[pb.ClassifyRequest(text="hello", top_k=1000)] * SIZE  # some 100 KB
).SerializeToString()
HELLO = pb.ClassifyRequest(text="hello")


async def send_batches(peer: Peer, heard: Heard) -> list[int]:
    """Sends batches one after the other; returns the streams of those that are not refused: their answers are kept."""
    kept: list[int] = []
    for number in range(BATCHES):
        frames = peer.call(BATCH, BATCH_OF_ALL)
        await peer.send(*frames)
        try:
            async with asyncio.timeout(0.5):
                await heard.ends(number - len(kept) + 1)
        except TimeoutError:
            kept.append(frames[0].stream_id)
    return kept


async def test_a_caller_that_reads_nothing_is_refused_until_it_reads(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_unsent_bytes_per_caller=300_000)
    golden = len(server.engine.prompts)
    async with await connect(server.served.address, NO_WINDOW) as peer, following(peer) as heard:
        answered = await send_batches(peer, heard)

        assert 1 <= len(answered) <= 3
        assert len(server.engine.prompts) - golden <= (len(answered) + 1) * SIZE
        assert heard.statuses == {RESOURCE_EXHAUSTED: BATCHES - len(answered)}
        assert (await server.served.intents.Classify(HELLO)).predictions

        await peer.send(*(WindowUpdateFrame(stream, 1_000_000) for stream in (0, *answered)))
        await peer.send(WindowUpdateFrame(0, 10_000_000))
        await heard.ends(BATCHES)
        more = peer.call(CLASSIFY, HELLO.SerializeToString())
        await peer.send(*more, WindowUpdateFrame(more[0].stream_id, 100_000))
        await heard.ends(BATCHES + 1)

        assert heard.statuses[OK] >= 2


async def test_few_callers_that_read_nothing_keep_nobody_from_answers(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_unsent_bytes_per_caller=300_000, max_unsent_bytes=600_000)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            peer = await stack.enter_async_context(await connect(server.served.address, NO_WINDOW))
            heard = await stack.enter_async_context(following(peer))
            assert len(await send_batches(peer, heard)) <= 3

            assert (await server.served.intents.Classify(HELLO)).predictions


async def test_streams_that_are_not_read_are_refused_too(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_unsent_bytes_per_caller=300_000)
    config = framed(pb.ClassifyStreamRequest(config=pb.StreamConfig()).SerializeToString())
    streams, items = 10, 60
    async with await connect(server.served.address, SMALL_WINDOW) as peer, following(peer) as heard:
        opened = [peer.headers(STREAM) for _ in range(streams)]
        for headers in opened:
            sent = [framed(item(str(number)).SerializeToString()) for number in range(items)]
            await peer.send(headers, data(headers.stream_id, b"".join((config, *sent)), end=True))
            await asyncio.sleep(0.1)

        assert 0 < len(server.engine.prompts) < streams * items / 2
        assert (await server.served.intents.Classify(HELLO)).predictions

        await peer.send(*(WindowUpdateFrame(stream, 10_000_000) for stream in (0, *(h.stream_id for h in opened))))
        await heard.ends(streams)

        assert heard.statuses == {OK: heard.statuses[OK], RESOURCE_EXHAUSTED: streams - heard.statuses[OK]}
        assert heard.statuses[OK] >= 1


def item(request_id: str) -> pb.ClassifyStreamRequest:
    """One whose answer is as long as can be, some 6 KB."""
    request = pb.ClassifyRequest(request_id=request_id, text="hello", top_k=1000)
    return pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request))
