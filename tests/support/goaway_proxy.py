"""A proxy between HTTP/2 clients and a server, which can say GOAWAY in the server's name between two of its frames."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hyperframe.frame import GoAwayFrame

_HEADER = 9  # bytes of a frame, of which the first three tell its length


class GoawayProxy:
    """Forwards connections to a target.

    Args:
        target: HOST:PORT of the server.

    Attributes:
        connections: How many it has forwarded so far.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._clients: set[asyncio.StreamWriter] = set()
        self.connections = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Forwards until the block ends; yields HOST:PORT for clients."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for client in list(self._clients):
                client.transport.abort()

    def goaway(self, last_stream_id: int) -> None:
        """Tells all clients to go, whose streams after that one the server has not seen."""
        for client in self._clients:
            client.write(GoAwayFrame(0, last_stream_id=last_stream_id).serialize())

    async def _forward(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        upstream, onward = await asyncio.open_connection(host, int(port))
        self.connections += 1
        self._clients.add(client)
        try:
            await asyncio.gather(_bytes(reader, onward), _frames(upstream, client))
        finally:
            self._clients.discard(client)


async def _bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


async def _frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            header = await reader.readexactly(_HEADER)
            writer.write(header + await reader.readexactly(int.from_bytes(header[:3], "big")))
            await writer.drain()
    writer.transport.abort()
