"""Callers that send but do not read, or send so slowly that they never come to an end."""

import asyncio

from hyperframe.frame import Frame, WindowUpdateFrame

from intently.v1 import intent_service_pb2 as pb
from support.hostile.attack import Attack
from support.hostile.calls import LIMIT
from support.hostile.connections import REQUEST
from support.hostile.following import following
from support.hostile.peer import BATCH, CLASSIFY, STREAM, Peer, connect, data, framed
from support.hostile.windows import WindowedSender

_MOMENT_S = 0.5
_STREAMS = 20  # of a connection
_INITIAL_WINDOW = 4
_CONFIG = pb.ClassifyStreamRequest(config=pb.StreamConfig()).SerializeToString()
_NO_WINDOW = {_INITIAL_WINDOW: 0}


async def slow_readers(address: str, times: int) -> None:
    """Streams with hundreds of items each, on connections from which nothing is ever read."""
    peers = []
    for _ in range(times):
        peer = await connect(address)
        peers.append(peer)
        for _ in range(_STREAMS):
            await _stream_of_items(peer, 200)
    await asyncio.sleep(_MOMENT_S)
    for peer in peers:
        async with peer:
            peer.reset()


async def slow_readers_without_window(address: str, times: int) -> None:
    """Streams and calls whose answers can never be sent, because their window is 0."""
    for _ in range(times):
        async with await connect(address, _NO_WINDOW) as peer:
            for _ in range(_STREAMS):
                await _stream_of_items(peer, 20)
            for _ in range(10 * _STREAMS):
                await peer.send(*peer.call(CLASSIFY, REQUEST))
            await peer.heard()
            await asyncio.sleep(_MOMENT_S)


async def drop_by_drop_readers(address: str, times: int) -> None:
    """Calls whose answers are let through byte by byte."""
    for _ in range(times):
        async with await connect(address, _NO_WINDOW) as peer:
            streams = []
            for _ in range(_STREAMS):
                call = peer.call(CLASSIFY, REQUEST)
                streams.append(call[0].stream_id)
                await peer.send(*call)
            for _ in range(30):
                await peer.send(*(WindowUpdateFrame(stream, 1) for stream in streams))
                await asyncio.sleep(0.01)
            await peer.heard()


async def slow_writers(address: str, times: int) -> None:
    """Calls whose message comes byte by byte and never comes to an end, and streams without a first message."""
    async with await connect(address) as peer:
        streams = []
        for number in range(times):
            headers = peer.headers((CLASSIFY, BATCH, STREAM)[number % 3])
            streams.append(headers.stream_id)
            await peer.send(headers)
        body = framed(REQUEST)
        for at in range(len(body) - 1):
            await peer.send(*(data(stream, body[at : at + 1]) for stream in streams))
            await asyncio.sleep(0.02)
        await peer.heard()


async def large_unfinished_messages(address: str, times: int) -> None:
    """Calls whose messages are as large as may be, and of which the last byte never comes."""
    async with await connect(address) as peer:
        sender = WindowedSender(peer)
        for _ in range(times):
            headers = peer.headers(CLASSIFY)
            await peer.send(headers)
            sender.add(headers.stream_id, framed(bytes(LIMIT - 1), length=LIMIT))
        await sender.send_all()
        await peer.heard()


async def unread_batches(address: str, times: int) -> None:
    """Batches, whose answers are large, on connections from which nothing is ever read."""
    batch = pb.BatchClassifyRequest(requests=[pb.ClassifyRequest(text="hello", top_k=100)] * 100).SerializeToString()
    for _ in range(times):
        async with await connect(address) as peer:
            for _ in range(20):
                await peer.send(*peer.call(BATCH, batch))
            await asyncio.sleep(_MOMENT_S)
            peer.reset()


async def batches_that_a_living_caller_does_not_read(address: str, times: int) -> None:
    """Batches whose answers are as large as can be; their window is 0, and the caller answers every ping."""
    batch = pb.BatchClassifyRequest(requests=[pb.ClassifyRequest(text="hello", top_k=1000)] * 256).SerializeToString()
    async with await connect(address, _NO_WINDOW) as peer, following(peer) as heard:
        for number in range(times):
            await peer.send(*peer.call(BATCH, batch))
            if number % 5 == 4:
                await asyncio.sleep(0.1)
        await asyncio.sleep(_MOMENT_S)
        assert heard.data == 0


async def _stream_of_items(peer: Peer, items: int) -> None:
    headers = peer.headers(STREAM)
    frames: list[Frame] = [headers, data(headers.stream_id, framed(_CONFIG))]
    for number in range(items):
        request = pb.ClassifyRequest(request_id=str(number), text="hello")
        message = pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request))
        frames.append(data(headers.stream_id, framed(message.SerializeToString())))
    await peer.send(*frames)


DAWDLERS = (
    Attack(slow_readers, 6),
    Attack(slow_readers_without_window, 1),
    Attack(drop_by_drop_readers, 2),
    Attack(slow_writers, 200),
    Attack(large_unfinished_messages, 30),
    Attack(unread_batches, 2),
    Attack(batches_that_a_living_caller_does_not_read, 30),
)
