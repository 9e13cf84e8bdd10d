"""Connections that say nothing, break off, or speak something else than HTTP/2."""

import asyncio
import random
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from intently.v1 import intent_service_pb2 as pb
from support.hostile.attack import Attack
from support.hostile.peer import CLASSIFY, PREFACE, STREAM, Peer, connect, data, framed

if TYPE_CHECKING:
    from hyperframe.frame import Frame

_MOMENT_S = 0.3  # long enough for a server to begin something for a connection
REQUEST = pb.ClassifyRequest(text="hello").SerializeToString()


async def silent_connections(address: str, times: int) -> None:
    """Connections that send nothing, only the preface, or the preface and settings."""
    peers = [await connect(address, silent=number % 3 < 2) for number in range(times)]
    for number, peer in enumerate(peers):
        if number % 3 == 1:
            await peer.send_bytes(PREFACE)
    await asyncio.sleep(_MOMENT_S)
    await _close(peers)


async def connections_reset(address: str, times: int) -> None:
    """Connections that end by a TCP reset: at once, in the middle of a call, in the middle of a frame."""
    for number in range(times):
        async with await connect(address) as peer:
            if number % 3 == 1:
                await peer.send(*peer.call(CLASSIFY, REQUEST))
            elif number % 3 == 2:
                await peer.send(peer.headers(STREAM))
                await peer.send_bytes(_frame(0, 0, 1, b"")[:5])
            peer.reset()
    await _caught_up(address)


async def half_open_connections(address: str, times: int) -> None:
    """Connections that break off in the middle of a call and stay: half closed, or without a word."""
    peers = [await connect(address) for _ in range(times)]
    for number, peer in enumerate(peers):
        await peer.send(*peer.call((CLASSIFY, STREAM)[number // 2 % 2], REQUEST, end=False)[: 1 + number // 4 % 2])
        if number % 2:
            peer.half_close()
    await asyncio.sleep(_MOMENT_S)
    await _close(peers)


async def truncated_frames(address: str, times: int) -> None:
    """Calls that break off after each possible number of bytes."""
    for number in range(times):
        async with await connect(address) as peer:
            whole = b"".join(frame.serialize() for frame in peer.call(CLASSIFY, REQUEST))
            await peer.send_bytes(whole[: number % len(whole)])
    await _caught_up(address)


async def other_protocols(address: str, times: int) -> None:
    """HTTP/1.1, a TLS ClientHello, and random bytes, with and without the preface before them."""
    dice = random.Random(times)
    hello = bytes.fromhex("16030100a5010000a10303") + dice.randbytes(160)
    for number in range(times):
        greetings = (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", hello, dice.randbytes(5000))
        for greeting in (*greetings, PREFACE + dice.randbytes(5000), PREFACE[: number % len(PREFACE)] + b"\0"):
            async with await connect(address, silent=True) as peer:
                await peer.send_bytes(greeting)
                assert await peer.ended(), greeting[:10]


async def malformed_frames(address: str, times: int) -> None:
    """Frames that HTTP/2 does not allow, each on a connection of its own."""
    for _ in range(times):
        for malformed in _MALFORMED:
            async with await connect(address) as peer:
                await peer.send_bytes(malformed)
                await peer.heard()


async def random_frames(address: str, times: int) -> None:
    """Frames of random types, flags, streams and bodies, after the beginning of a call."""
    dice = random.Random(times)
    for _ in range(times):
        async with await connect(address) as peer:
            await peer.send(peer.headers(STREAM))
            for _ in range(20):
                body = dice.randbytes(dice.choice((0, 1, 4, 5, 6, 8, 100)))
                await peer.send_bytes(_frame(dice.randrange(12), dice.randrange(256), dice.choice((0, 1, 2, 3)), body))
            await peer.heard()


async def streams_dropped(address: str, times: int) -> None:
    """Streams that are opened and dropped, with their connection or one by one; half of them have an item."""
    config = pb.ClassifyStreamRequest(config=pb.StreamConfig())
    item = pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=pb.ClassifyRequest(request_id="1", text="hello")))
    body = framed(config.SerializeToString()) + framed(item.SerializeToString())
    per_connection = 250
    for number in range(times // per_connection):
        async with await connect(address) as peer:
            frames: list[Frame] = []
            for stream in range(per_connection):
                headers = peer.headers(STREAM)
                frames += [headers, *([data(headers.stream_id, body)] if stream % 2 else [])]
            await peer.send(*frames)
            await peer.heard()
            if number % 2:
                peer.reset()


async def stream_hoarders(address: str, times: int) -> None:
    """Streams that are opened on several connections, never begin, and keep their places."""
    per_connection = 500
    peers = []
    for _ in range(times // per_connection):
        peer = await connect(address)
        peers.append(peer)
        await peer.send(*(peer.headers(STREAM) for _ in range(per_connection)))
    for peer in peers:
        await peer.heard()
    await asyncio.sleep(_MOMENT_S)
    await _close(peers)


async def _close(peers: Sequence[Peer]) -> None:
    for peer in peers:
        async with peer:
            pass


async def _caught_up(address: str) -> None:
    """Returns once the server has taken the connections before this one."""
    async with await connect(address) as peer:
        assert await peer.heard()


def _frame(kind: int, flags: int, stream: int, body: bytes, length: int | None = None) -> bytes:
    """Any frame, whatever the standard says; `length` is the one that it claims."""
    return (
        struct.pack(">I", len(body) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + body
    )


_MALFORMED: tuple[bytes, ...] = (
    _frame(0, 0, 1, bytes(1000), length=2**24 - 1),  # DATA beyond any allowed size
    _frame(0, 0, 7, bytes(3)),  # DATA on a stream that was never opened
    _frame(0, 8, 1, b"\xff\0\0"),  # more padding than there is frame
    _frame(1, 4, 0, bytes(3)),  # HEADERS on stream 0
    _frame(1, 4, 2, b""),  # HEADERS on a stream of the server's
    _frame(1, 4, 1, b"\xff\xff\xff\xff"),  # no HPACK
    _frame(1, 4, 1, b"\x3f\xff\xff\xff\x07"),  # an HPACK table of 16 MiB
    _frame(1, 4, 1, b"\x40\x01"),  # an HPACK string that ends too early
    _frame(2, 0, 3, b"\0\0\0\3\5"),  # a stream that depends on itself
    _frame(3, 0, 5, bytes(4)),  # RST_STREAM on a stream that was never opened
    _frame(4, 0, 0, bytes(5)),  # SETTINGS of no whole number of settings
    _frame(4, 0, 1, bytes(6)),  # SETTINGS on a stream
    _frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"),  # a window beyond 2^31 - 1
    _frame(4, 0, 0, b"\0\5\0\0\0\1"),  # a frame size below 2^14
    _frame(5, 4, 1, b"\0\0\0\2"),  # PUSH_PROMISE from a client
    _frame(6, 0, 0, bytes(7)),  # PING of 7 bytes
    _frame(7, 0, 0, bytes(8)),  # GOAWAY
    _frame(8, 0, 0, bytes(4)),  # WINDOW_UPDATE by 0
    _frame(9, 4, 1, bytes(10)),  # CONTINUATION of nothing
    _frame(0x99, 255, 5, bytes(10)),  # of an unknown type
)

CONNECTION_ATTACKS = (
    Attack(silent_connections, 60),
    Attack(connections_reset, 60),
    Attack(half_open_connections, 60),
    Attack(truncated_frames, 160),
    Attack(other_protocols, 8),
    Attack(malformed_frames, 3),
    Attack(random_frames, 40),
    Attack(streams_dropped, 1000),
    Attack(stream_hoarders, 1000),
)
