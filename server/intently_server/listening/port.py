"""Whether somebody listens at an address, without a word to whoever that is."""

import contextlib
import errno
import os
import socket
from collections.abc import Set
from pathlib import Path
from typing import Any

_UNIX = "unix:"
_ABSTRACT = "unix-abstract:"

_SOCKETS = Path("/proc/net/unix")  # columns: number, references, protocol, flags, type, state, inode, path
_LISTENS = 0x10000  # of the flags

_Place = tuple[socket.AddressFamily, Any]


class Port:
    """An address that a server of this process listens on, since before this was made.

    Args:
        address: HOST:PORT, resolved once, unix:PATH, or unix-abstract:NAME.
        others: The sockets of servers before it that still listen, under the same path.

    Attributes:
        sockets: What listens under its path, by the kernel's numbers; empty if the address has no path.
    """

    def __init__(self, address: str, others: Set[bytes] = frozenset()) -> None:
        self._path = Path(_path(address)) if address.startswith(_UNIX) else None
        self._places = [] if self._path is not None else _places(address)
        self.sockets = frozenset() if self._path is None else _listening(self._path) - others

    def is_left(self) -> bool:
        """Whether nobody listens there any more: it could be bound. gRPC removes the path of a unix socket."""
        if self._path is not None:
            return not self._path.exists() and not self._has_listener(self._path)
        tried = [_bound(*place) for place in self._places]
        return 0 in tried and errno.EADDRINUSE not in tried

    def is_unlinked(self) -> bool:
        """Whether somebody has removed the path of a socket that is still listened on: those who are connected stay."""
        return self._path is not None and not self._path.exists() and self._has_listener(self._path)

    def _has_listener(self, path: Path) -> bool:
        return not self.sockets.isdisjoint(_listening(path))


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


def make_folder(address: str) -> None:
    """Where somebody has removed the folder of a unix socket: makes it anew, for this user alone."""
    if address.startswith(_UNIX):
        with contextlib.suppress(OSError):
            Path(_path(address)).parent.mkdir(mode=0o700)


def _listening(path: Path) -> Set[bytes]:
    """The kernel's numbers of sockets that listen and were bound to this path, whether it is still there or not."""
    try:
        lines = _SOCKETS.read_bytes().splitlines()[1:]
    except OSError:  # not told here: a path that is gone is then taken for a server that is
        return frozenset()
    rows = [line.split(maxsplit=7) for line in lines]
    bound = os.fsencode(path)
    return {row[6] for row in rows if len(row) > 7 and row[7] == bound and int(row[3], 16) & _LISTENS}


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
