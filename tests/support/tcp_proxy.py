"""A TCP proxy between a client and servers: it keeps one address while servers change, and can cut and freeze."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class TcpProxy:
    """Forwards connections to a target.

    Attributes:
        target: HOST:PORT where new connections lead; "" refuses them.
        connections: How many it has forwarded so far.
        frozen_out: How many it has refused because it was frozen.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.connections = 0
        self.frozen_out = 0
        self._moving = asyncio.Event()
        self._moving.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._address = ""

    @property
    def address(self) -> str:
        """HOST:PORT for clients."""
        return self._address

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["TcpProxy"]:
        """Forwards until the block ends."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self._address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            self.thaw()

    def cut(self) -> None:
        """Resets all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """From now on nothing is forwarded, and nobody is told: connections are half-open. New ones are refused."""
        self._moving.clear()

    def thaw(self) -> None:
        """Forwards again."""
        self._moving.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._moving.is_set():
            self.frozen_out += 1
        if not self.target or not self._moving.is_set():
            writer.transport.abort()
            return
        host, _, port = self.target.rpartition(":")
        try:
            upstream, onward = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        both = {writer, onward}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, onward), self._pump(upstream, writer))
        finally:
            self._writers -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._moving.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
