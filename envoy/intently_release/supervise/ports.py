"""Whether addresses can be listened on: asked before anything is started, since a port may be another stack's."""

import contextlib
import socket
import time
from collections.abc import Mapping

import psutil

from intently_release.config import host_of, port_of
from intently_release.errors import Refused

_WITHIN_S = 5.0  # a killed process of many threads is a zombie before its last one closes its ports
_POLL_S = 0.1


def must_be_free(addresses: Mapping[str, str]) -> None:
    """Returns if all can be listened on; waits a moment for an owner that is just ending.

    Args:
        addresses: HOST:PORT by what it is for, in words.

    Raises:
        Refused: names the first that cannot, what it is for, and, where the system tells, who has it.
    """
    give_up = time.monotonic() + _WITHIN_S
    for what, address in addresses.items():
        while error := _refusal(address):
            if time.monotonic() > give_up:
                raise Refused(f"cannot listen on {address} ({what}): {error}{_owner(address)}")
            time.sleep(_POLL_S)


def _refusal(address: str) -> str:
    """Why it cannot be listened on; "" if it can, or if nobody knows the name: Envoy or the server says so."""
    try:
        found = socket.getaddrinfo(host_of(address), port_of(address), type=socket.SOCK_STREAM)
    except OSError:
        return ""
    family, kind, _, _, target = found[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last owner may linger
        try:
            probe.bind(target)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _owner(address: str) -> str:
    """Who has the port, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port_of(address) and each.pid:
                return f", by {psutil.Process(each.pid).name()} (pid {each.pid})"
    return ""
