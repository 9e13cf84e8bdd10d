"""Whether addresses can be listened on: asked before anything is started, since a port may be another stack's."""

import contextlib
import socket
from collections.abc import Mapping

import psutil

from intently_release.config import host_of, port_of
from intently_release.errors import Refused


def must_be_free(addresses: Mapping[str, str]) -> None:
    """Returns if all can be listened on.

    Args:
        addresses: HOST:PORT by what it is for, in words.

    Raises:
        Refused: names the first that cannot, what it is for, and, where the system tells, who has it.
    """
    for what, address in addresses.items():
        try:
            found = socket.getaddrinfo(host_of(address), port_of(address), type=socket.SOCK_STREAM)
        except OSError:
            continue  # a name that nobody knows: Envoy or the server says so
        family, kind, _, _, target = found[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last owner may linger
            try:
                probe.bind(target)
            except OSError as error:
                raise Refused(f"cannot listen on {address} ({what}): {error.strerror}{_owner(address)}") from error


def _owner(address: str) -> str:
    """Who has the port, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port_of(address) and each.pid:
                return f", by {psutil.Process(each.pid).name()} (pid {each.pid})"
    return ""
