"""A port for several processes of this server, and for nobody else's."""

import contextlib
import errno
import socket
from typing import Any

from intently_server.listening import AddressError


class Reservation:
    """An address that only sockets of this user with SO_REUSEPORT can bind, for as long as it is held.

    It takes no calls: the kernel gives those to sockets that listen.

    Args:
        address: HOST:PORT; port 0 takes a free one. A name may stand for several addresses, which get the same port.

    Attributes:
        address: With the port that it has.

    Raises:
        AddressError: if somebody listens there, or it is no address of this host.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        with contextlib.ExitStack() as held:
            try:
                self.address = f"{host}:{_hold(host.strip('[]'), int(port), held)}"
            except (OSError, ValueError, OverflowError) as error:
                reason = error.strerror or error if isinstance(error, OSError) else "it is no HOST:PORT"
                raise AddressError(f"cannot listen on {address}: {reason}") from error
            self._held = held.pop_all()

    def close(self) -> None:
        """Gives the address back."""
        self._held.close()


def _hold(host: str, port: int, held: contextlib.ExitStack) -> int:
    """Binds all that `host` stands for; returns the port. As gRPC does, makes do with what this machine has of them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    failures = []
    for family, _, _, _, place in found:
        try:
            bound = held.enter_context(_bound(family, (place[0], port, *place[2:])))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            failures.append(error)
        else:
            port = bound.getsockname()[1]
    if len(failures) == len(found):
        raise failures[0]
    return port


def _bound(family: socket.AddressFamily, place: tuple[Any, ...]) -> socket.socket:
    with socket.socket(family) as probe:  # fails where another server is, with SO_REUSEPORT or without
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)
    try:
        return _shared(family, place, socket.SO_REUSEPORT)
    except OSError:  # connections of a server before this one are in TIME_WAIT
        return _shared(family, place, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _shared(family: socket.AddressFamily, place: tuple[Any, ...], *options: int) -> socket.socket:
    """A socket that is bound, with these options. With SO_REUSEADDR it keeps off others only while somebody listens."""
    bound = socket.socket(family)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(place)
    except OSError:
        bound.close()
        raise
    return bound
