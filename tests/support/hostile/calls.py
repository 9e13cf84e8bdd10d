"""Calls whose messages, metadata or deadlines are none, and calls that nobody waits for."""

import asyncio
import contextlib
import gc
import random
import zlib
from typing import TYPE_CHECKING

import grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.settings import Settings
from support.hostile.attack import Attack
from support.hostile.connections import REQUEST
from support.hostile.peer import BATCH, CLASSIFY, STREAM, connect, data, framed

if TYPE_CHECKING:
    from hyperframe.frame import Frame

    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

_METHODS = (
    CLASSIFY,
    BATCH,
    STREAM,
    "/intently.v1.ModelService/GetModel",
    "/intently.v1.ModelService/ListModels",
    "/intently.v1.ModelService/ListIntents",
    "/grpc.health.v1.Health/Check",
)
_PIECE = 16_384
_MiB = 1024 * 1024
LIMIT = Settings.model_fields["max_message_bytes"].default
_LARGE = LIMIT + _MiB
_CALLS_AT_ONCE = 200


async def oversized_messages(address: str, times: int) -> None:
    """Messages over the limit, sent whole."""
    for _ in range(times):
        async with grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
            request = pb.ClassifyRequest(text="x" * _LARGE)
            await _expect(IntentServiceStub(channel).Classify(request), grpc.StatusCode.RESOURCE_EXHAUSTED)


async def false_lengths(address: str, times: int) -> None:
    """Messages that claim up to 4 GiB and have a few bytes, then end, or are left as they are."""
    async with await connect(address) as peer:
        frames: list[Frame] = []
        for number in range(times):
            headers = peer.headers(_METHODS[number % len(_METHODS)])
            claimed = (2**32 - 1, 2**31, LIMIT, LIMIT + 1, 200)[number % 5]
            body = framed(b"x" * 100, length=claimed)
            frames += [headers, data(headers.stream_id, body, end=number % 2 == 0)]
        await peer.send(*frames)
        await peer.heard()


async def compressed_garbage(address: str, times: int) -> None:
    """Messages marked as compressed: without an encoding, in an unknown one, and in none at all."""
    packed = zlib.compress(REQUEST)
    async with await connect(address) as peer:
        for _ in range(times):
            for encoding in ("", "gzip", "deflate", "identity", "unheard-of"):
                for message in (b"x" * 100, packed, packed[:-3], b""):
                    more = (("grpc-encoding", encoding),) if encoding else ()
                    headers = peer.headers(CLASSIFY, *more)
                    await peer.send(headers, data(headers.stream_id, framed(message, compressed=True), end=True))
        await peer.heard()


async def compression_bombs(address: str, times: int) -> None:
    """Messages of a few hundred KiB that would be hundreds of MiB."""
    for encoding, window_bits in (("gzip", 31), ("deflate", 15)):
        packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
        bomb = b"".join(packer.compress(bytes(_MiB)) for _ in range(200)) + packer.flush()
        for _ in range(times):
            async with await connect(address) as peer:
                headers = peer.headers(CLASSIFY, ("grpc-encoding", encoding))
                await peer.send(headers)
                body = framed(bomb, compressed=True)
                for at in range(0, len(body), _PIECE):
                    await peer.send(data(headers.stream_id, body[at : at + _PIECE]))
                await peer.heard()


async def garbage_messages(address: str, times: int) -> None:
    """Bytes that are no protobuf, to every method."""
    dice = random.Random(times)
    for first in range(0, times, 100):
        async with await connect(address) as peer:
            for number in range(first, min(times, first + 100)):
                await peer.send(*peer.call(_METHODS[number % len(_METHODS)], dice.randbytes(dice.randrange(300))))
            await peer.heard()


async def absurd_metadata(address: str, times: int) -> None:
    """Metadata that is huge, many, or of bytes that are not allowed; one connection each, since some end it."""
    for _ in range(times):
        for more in _METADATA:
            async with await connect(address) as peer:
                await peer.send(*peer.call(CLASSIFY, REQUEST, *more))
                await peer.heard()


async def absurd_beginnings(address: str, times: int) -> None:
    """Calls without a path, with two, of another method, of another service, or with nothing at all."""
    for _ in range(times):
        async with await connect(address) as peer:
            for headers in _BEGINNINGS:
                begin = peer.headers_of(headers)
                await peer.send(begin, data(begin.stream_id, framed(REQUEST), end=True))
            for path in ("", "/", "/intently.v1.IntentService/None", f"{CLASSIFY}/more", "/" + "x" * 3000):
                await peer.send(*peer.call(path, REQUEST))
            await peer.heard()


async def absurd_deadlines(address: str, times: int) -> None:
    """Deadlines of nothing, of less than nothing, of a nanosecond, of millennia, and of no number."""
    for _ in range(times):
        async with await connect(address) as peer:
            for timeout in ("0S", "0n", "-1S", "1n", "1u", "1m", "99999999H", "9" * 20 + "H", "1", "S", "", "soon"):
                for path in (CLASSIFY, STREAM):
                    await peer.send(*peer.call(path, REQUEST, ("grpc-timeout", timeout)))
            await peer.heard()


async def cancelled_calls(address: str, times: int) -> None:
    """Calls and streams that are cancelled: at once, soon, or when the answer is on its way."""
    async with grpc.aio.insecure_channel(address) as channel:
        intents, dice = IntentServiceStub(channel), random.Random(times)
        for _ in range(0, times, _CALLS_AT_ONCE):
            calls = [await _begin(intents, number) for number in range(_CALLS_AT_ONCE)]
            for call in calls[::3]:
                call.cancel()
            await asyncio.sleep(dice.random() * 0.01)
            for call in calls:
                call.cancel()
            await asyncio.gather(*(call.code() for call in calls))
            del call, calls
    gc.collect()  # gRPC keeps a channel and its connection in a cycle with calls that were cancelled


async def lists_of_nothing(address: str, times: int) -> None:
    """The largest batches, of millions of requests of nothing, and requests with as many turns, several at once."""
    half = (LIMIT - 100) // 2
    batch, turns = b"\x0a\x00" * half, b"\x1a\x00" * half
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        for _ in range(times):
            calls: list[grpc.aio.Call] = [
                channel.unary_unary(path)(message) for path, message in ((BATCH, batch), (CLASSIFY, turns)) * 3
            ]
            for call in calls:
                await _expect(call, grpc.StatusCode.INVALID_ARGUMENT)


async def _begin(intents: "IntentServiceAsyncStub", number: int) -> grpc.aio.Call:
    if number % 4:
        return intents.Classify(pb.ClassifyRequest(text="hello"))
    stream = intents.ClassifyStream()
    if number % 8:
        with contextlib.suppress(grpc.aio.AioRpcError):  # refused: there are so many
            await stream.write(pb.ClassifyStreamRequest(config=pb.StreamConfig()))
    return stream


async def _expect(call: grpc.aio.Call, code: grpc.StatusCode) -> None:
    got = await call.code()
    assert got is code, got


_METADATA: tuple[tuple[tuple[str, str | bytes], ...], ...] = (
    (("x-large", "v" * 15_000),),
    (("x-large", "v" * 60_000),),
    tuple((f"x-{number}", "v" * 200) for number in range(300)),
    tuple((f"x-{number}", "v") for number in range(3000)),
    (("x-raw", b"\xff\xfe\x00"),),
    (("x-raw", b"\r\n\r\n"),),
    (("authorization", b"Bearer \xff\x00"),),
    (("traceparent", b"\xff" * 55),),
    (("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-zz"),),
    (("tracestate", "=," * 500),),
    (("baggage", "%" * 1000),),
    (("x-intently-priority", b"\xc3\xa9"),),
    (("x-intently-revision", "\x7f" * 100),),
    (("X-Upper", "v"),),
    (("x-broken-bin", "%%%"),),
    (("grpc-status", "0"), ("grpc-message", "%%%")),
    (("grpc-previous-rpc-attempts", "-1"), ("grpc-retry-pushback-ms", "x")),
    (("grpc-trace-bin", "%%%"), ("grpc-tags-bin", "AAAA")),
    (("endpoint-load-metrics-bin", "AAAA"),),
    (("te", ""), ("connection", "close"), ("transfer-encoding", "chunked")),
    (("content-length", "-1"),),
    (("host", "elsewhere"), ("cookie", "a=b; " * 200)),
)
_BEGINNINGS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    ((":status", "200"),),
    ((":path", CLASSIFY),),
    ((":method", "GET"), (":scheme", "http"), (":path", CLASSIFY), (":authority", "x"), ("te", "trailers")),
    ((":method", "POST"), (":scheme", "http"), (":path", CLASSIFY), (":path", STREAM), ("te", "trailers")),
    (("content-type", "application/grpc"), (":method", "POST"), (":scheme", "http"), (":path", CLASSIFY)),
    ((":method", "POST"), (":scheme", "ftp"), (":path", CLASSIFY), (":authority", "x"), ("content-type", "text/html")),
    ((":method", "CONNECT"), (":authority", "x")),
)

CALL_ATTACKS = (
    Attack(oversized_messages, 2),
    Attack(false_lengths, 100),
    Attack(compressed_garbage, 10),
    Attack(compression_bombs, 1),
    Attack(garbage_messages, 1_000),
    Attack(absurd_metadata, 2),
    Attack(absurd_beginnings, 10),
    Attack(absurd_deadlines, 10),
    Attack(cancelled_calls, 2_000),
    Attack(lists_of_nothing, 5),
)
