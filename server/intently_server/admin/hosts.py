"""Whom the admin port takes a request to be meant for: pages of other sites must not read it in a visitor's browser.

A browser lets a page read what its own host name answers, and whoever owns that name may point it at 127.0.0.1. Such
requests carry the foreign name in their Host header.
"""

import ipaddress


class Hosts:
    """The hosts that are answered for.

    Args:
        address: HOST:PORT that is listened on. Beyond loopback all hosts are answered for: names of it are not known
            here, and whoever may read it can reach it anyway.
    """

    def __init__(self, address: str) -> None:
        self._own = _host(address)
        self.is_loopback = _is_loopback(self._own)

    def answer_for(self, header: str) -> bool:
        """Whether a request with this Host header is answered."""
        if not self.is_loopback:
            return True
        host = _host(header)
        return host == self._own or _is_loopback(host)


def _host(address: str) -> str:
    """The host of HOST, HOST:PORT, [HOST] or [HOST]:PORT, in lower case."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    host, _, port = address.rpartition(":")
    return (host if host and port.isdecimal() else address).lower()


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. Names other than localhost are not looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
