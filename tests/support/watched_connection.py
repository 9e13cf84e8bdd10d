"""A bare HTTP/2 connection that carries gRPC calls, one after the other, and sees what becomes of it."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator

import h2.config
import h2.connection
import h2.events

from intently.v1 import intent_service_pb2 as pb

_HELLO = pb.ClassifyRequest(text="hello").SerializeToString()
_MESSAGE = struct.pack(">BI", 0, len(_HELLO)) + _HELLO
_MOST_BYTES = 65536


class WatchedConnection:
    """Calls Classify again as soon as it was answered.

    Attributes:
        ended: What ended the connection, or announced its end.
        statuses: How calls ended, by gRPC status; "reset" where there was none.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self._reader = reader
        self._writer = writer
        self._authority = authority
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.ended: list[str] = []
        self.statuses: Counter[str] = Counter()

    async def follow(self) -> None:
        """Goes on until the connection is closed."""
        self._h2.initiate_connection()
        self._call()
        self._writer.write(self._h2.data_to_send())
        while data := await self._reader.read(_MOST_BYTES):
            for event in self._h2.receive_data(data):
                self._take(event)
            self._writer.write(self._h2.data_to_send())
        self.ended.append("closed")

    def _call(self) -> None:
        stream = self._h2.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":authority": self._authority, "te": "trailers"}
        headers |= {":path": "/intently.v1.IntentService/Classify", "content-type": "application/grpc"}
        pseudo_first = sorted(headers.items(), key=lambda header: not header[0].startswith(":"))
        self._h2.send_headers(stream, pseudo_first)
        self._h2.send_data(stream, _MESSAGE, end_stream=True)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ConnectionTerminated():
                self.ended.append("GOAWAY")
            case h2.events.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                self.statuses.update(value.decode() for name, value in event.headers or () if name == b"grpc-status")
            case h2.events.StreamReset():
                self.statuses["reset"] += 1
                self._call()
            case h2.events.StreamEnded() if not self.ended:
                self._call()


@contextlib.asynccontextmanager
async def watched_connection(address: str) -> AsyncIterator[WatchedConnection]:
    """Opens one to HOST:PORT, and calls until the block ends."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    watched = WatchedConnection(reader, writer, address)
    following = asyncio.create_task(watched.follow())
    try:
        yield watched
    finally:
        following.cancel()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError):
            await following
