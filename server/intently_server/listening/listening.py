"""The port, for as long as the server serves: what ends gRPC's server does not end ours."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import grpc

from intently_server.listening.grpc_server import AddressError, listen
from intently_server.listening.port import Port, make_folder
from intently_server.parts import Parts
from intently_server.security import Security

_LOOKS_EVERY_S = 0.1
_AGAIN_EVERY_S = 0.02  # until the port that gRPC has closed can be had again
_BESIDE_EVERY_S = 2.0  # until a path that was removed can be had again
_ENDS_WITHIN_S = 0.1  # gRPC's server, if it has not; one that has waits for the caller who brought it about

logger = logging.getLogger(__name__)


class Listening:
    """gRPC's server, and another in its place when it ends by itself.

    A caller's :path that is no UTF-8 is enough for that, without a token: grpc.aio 1.85 decodes it in the loop that
    takes calls, ends the server with every call that is under way, and leaves the process as it is. Here callers find
    the port again a moment later, with the engine and all else as it was.

    Where somebody removes the path of its unix socket, gRPC's server lives on, but nobody finds it: those who are
    connected stay with it, and another is made beside it for those who come. A front end's own socket nobody calls.

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
        server, self.address = listen(parts, security, parts.settings.address, own_addresses)
        self._servers = [server]  # the last is the one that can be found
        self._watched = own_addresses[0] if own_addresses else self.address
        self._unlinked = False
        self._ending: set[asyncio.Future[None]] = set()
        self._watching: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Takes calls from now on."""
        await self._servers[-1].start()
        self._watching = asyncio.ensure_future(self._watch(Port(self._watched)))

    async def stop(self, grace_s: float) -> None:
        """Closes the port; calls under way are cut off after so many seconds."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))

    async def _watch(self, port: Port) -> None:
        """gRPC tells of its end only once the caller that brought it about has gone, so the port is looked at."""
        others: frozenset[bytes] = frozenset()
        while True:
            await asyncio.sleep(_LOOKS_EVERY_S)
            if port.is_left():
                logger.error("gRPC has ended its server by itself, and the calls under way; listening again")
                await self._end(self._servers.pop())
                self._servers.append(await self._listen_again())
                await self._servers[-1].start()
                self._unlinked = False
            elif port.is_unlinked():
                others |= port.sockets
                if not await self._listen_beside():
                    continue
            else:
                continue
            port = Port(self._watched, others)

    async def _listen_beside(self) -> bool:
        """Listens where callers can find it, if they have to, and leaves the server that they cannot find as it is."""
        if not self._unlinked:
            logger.warning("somebody has removed the path of the socket %s", self._watched)
        self._unlinked = True
        if self._own_addresses:
            return False
        try:
            beside = listen(self._parts, self._security, self.address)[0]
        except AddressError:  # the folder has gone too
            await asyncio.sleep(_BESIDE_EVERY_S)
            return False
        self._servers.append(beside)
        await beside.start()
        self._unlinked = False
        return True

    async def _end(self, server: grpc.aio.Server) -> None:
        """Ends what may live yet: it would take calls along, and its successor's path, when it is collected."""
        ending = asyncio.ensure_future(server.stop(0))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.wait([ending], timeout=_ENDS_WITHIN_S)

    async def _listen_again(self) -> grpc.aio.Server:
        while True:
            try:
                return listen(self._parts, self._security, self.address, self._own_addresses)[0]
            except AddressError:
                for own in self._own_addresses:
                    make_folder(own)
                await asyncio.sleep(_AGAIN_EVERY_S)
