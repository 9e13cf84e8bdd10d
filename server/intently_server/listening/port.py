"""Whether somebody listens at an address, without a word to whoever that is."""

import errno
import socket
from pathlib import Path
from typing import Any

_UNIX = "unix:"
_ABSTRACT = "unix-abstract:"

_Place = tuple[socket.AddressFamily, Any]


class Port:
    """An address that a server of this process listens on.

    Args:
        address: HOST:PORT, resolved once, unix:PATH, or unix-abstract:NAME.
    """

    def __init__(self, address: str) -> None:
        self._socket = Path(_path(address)) if address.startswith(_UNIX) else None
        self._places = [] if self._socket is not None else _places(address)

    def is_left(self) -> bool:
        """Whether nobody listens there any more: it could be bound. gRPC removes the path of a unix socket."""
        if self._socket is not None:
            return not self._socket.exists()
        tried = [_bound(*place) for place in self._places]
        return 0 in tried and errno.EADDRINUSE not in tried


def is_served_socket(address: str) -> bool:
    """Whether a server listens on that unix socket. gRPC would take its path from it without a word."""
    if not address.startswith(_UNIX):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            return probe.connect_ex(_path(address)) in {0, errno.EAGAIN}
        except OSError:  # no path of a socket: gRPC will not listen there either
            return False


def _path(address: str) -> str:
    return address.removeprefix(_UNIX).removeprefix("//")


def _places(address: str) -> list[_Place]:
    """What the address stands for; a name may stand for several."""
    if address.startswith(_ABSTRACT):
        return [(socket.AF_UNIX, "\0" + address.removeprefix(_ABSTRACT))]
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


def _bound(family: socket.AddressFamily, where: Any) -> int:
    """0 if the address could be bound, and is free again; otherwise the errno of why not."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            return error.errno or -1
    return 0
