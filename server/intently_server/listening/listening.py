"""The port, for as long as the server serves: what ends gRPC's server does not end ours."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import grpc

from intently_server.listening.grpc_server import AddressError, listen
from intently_server.listening.port import Port
from intently_server.parts import Parts
from intently_server.security import Security

_LOOKS_EVERY_S = 0.1
_AGAIN_EVERY_S = 0.02  # until the port that gRPC has closed can be had again

logger = logging.getLogger(__name__)


class Listening:
    """gRPC's server, and another in its place when it ends by itself.

    A caller's :path that is no UTF-8 is enough for that, without a token: grpc.aio 1.85 decodes it in the loop that
    takes calls, ends the server with every call that is under way, and leaves the process as it is. Here callers find
    the port again a moment later, with the engine and all else as it was.

    Args:
        parts: Of the server.
        security: Who may call.
        own_addresses: Where it listens too, and nobody else. Of an address that others listen on too nobody can say
            whether it is left; the first of these can be asked. Empty where the settings' address is its own.

    Attributes:
        address: Where it listens, with the port that it has.

    Raises:
        AddressError: if the address cannot be listened on.
    """

    def __init__(self, parts: Parts, security: Security, own_addresses: Sequence[str] = ()) -> None:
        self._parts = parts
        self._security = security
        self._own_addresses = own_addresses
        self._server, self.address = listen(parts, security, parts.settings.address, own_addresses)
        self._watching: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Takes calls from now on."""
        await self._server.start()
        watched = self._own_addresses[0] if self._own_addresses else self.address
        self._watching = asyncio.ensure_future(self._watch(Port(watched)))

    async def stop(self, grace_s: float) -> None:
        """Closes the port; calls under way are cut off after so many seconds."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._server.stop(grace_s)

    async def _watch(self, port: Port) -> None:
        """gRPC tells of its end only once the caller that brought it about has gone, so the port is looked at."""
        while True:
            await asyncio.sleep(_LOOKS_EVERY_S)
            if port.is_left():
                logger.error("gRPC has ended its server by itself, and the calls under way; listening again")
                self._server = await self._listen_again()
                await self._server.start()

    async def _listen_again(self) -> grpc.aio.Server:
        while True:
            try:
                return listen(self._parts, self._security, self.address, self._own_addresses)[0]
            except AddressError:
                await asyncio.sleep(_AGAIN_EVERY_S)
