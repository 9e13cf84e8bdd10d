"""Whom the admin port takes a request to be meant for: pages of other sites must not read it in a visitor's browser.

A browser lets a page read what its own host name answers, and whoever owns that name may point it at 127.0.0.1. Such
requests carry the foreign name in their Host header.
"""

from intently_server.settings.address import host_of, is_loopback


class Hosts:
    """The hosts that are answered for.

    Args:
        address: HOST:PORT that is listened on. Beyond loopback all hosts are answered for: names of it are not known
            here, and whoever may read it can reach it anyway.
    """

    def __init__(self, address: str) -> None:
        self._own = host_of(address)
        self.is_loopback = _is_this_machine(self._own)

    def answer_for(self, header: str) -> bool:
        """Whether a request with this Host header is answered."""
        if not self.is_loopback:
            return True
        host = host_of(header)
        return host == self._own or _is_this_machine(host)


def _is_this_machine(host: str) -> bool:
    """Whether it is loopback, also by a name that browsers look up nowhere else."""
    return is_loopback(host) or host.endswith(".localhost")
