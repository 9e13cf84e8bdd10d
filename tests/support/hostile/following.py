"""Reads what a server sends to a peer, as a caller that is alive does, and keeps count of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, SettingsFrame

from support.hostile.peer import Peer


@dataclass(slots=True)
class Heard:
    """What came.

    Attributes:
        statuses: How calls ended, by their grpc-status.
        data: Bytes of DATA frames.
        changed: Set whenever something came.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    data: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ends(self, calls: int) -> None:
        """Returns once so many calls have ended."""
        while self.statuses.total() < calls:
            self.changed.clear()
            await self.changed.wait()


@contextlib.asynccontextmanager
async def following(peer: Peer) -> AsyncIterator[Heard]:
    """Answers the server's pings and settings until the block ends; nobody else may read from the peer meanwhile."""
    heard = Heard()
    reading = asyncio.create_task(_follow(peer, heard))
    try:
        yield heard
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _follow(peer: Peer, heard: Heard) -> None:
    decoder = Decoder()
    async for frame in peer.frames():
        if isinstance(frame, HeadersFrame):
            headers: dict[Any, Any] = dict(decoder.decode(frame.data))
            if "grpc-status" in headers:
                heard.statuses[int(headers["grpc-status"])] += 1
        elif isinstance(frame, DataFrame):
            heard.data += len(frame.data)
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            await peer.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            await peer.send(SettingsFrame(0, flags=["ACK"]))
        heard.changed.set()
