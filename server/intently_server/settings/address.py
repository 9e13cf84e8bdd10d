"""What HOST:PORT says: the host, and whether it is this machine's alone."""

import ipaddress


def host_of(address: str) -> str:
    """The host of HOST, HOST:PORT, [HOST] or [HOST]:PORT, in lower case."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    host, _, port = address.rpartition(":")
    return (host if host and port.isdecimal() else address).lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost is not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
