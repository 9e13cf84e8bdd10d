"""What all parts of the configuration share: frozen, no unknown keys, and the types of their fields."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LAST_PORT = 65535


class Frozen(BaseModel):
    """A part of release.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) <= LAST_PORT):
        raise ValueError(f"{text!r} is no HOST:PORT")
    return text


_ALL_OF_IT = {"0.0.0.0", "::"}  # noqa: S104  # compared with, not listened at
_LOOPBACK = {"127.0.0.1", "::1"}

Address = Annotated[str, AfterValidator(_checked_address)]
"""HOST:PORT."""

Seconds = Annotated[float, Field(gt=0)]
"""A length of time that is more than none."""

Percent = Annotated[int, Field(ge=0, le=100)]
"""A share of 100."""


def host_of(address: str) -> str:
    """The host of a HOST:PORT, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def meet(one: str, other: str) -> bool:
    """Whether two HOST:PORT cannot both be listened at on this host: all of its addresses are also its loopback's."""
    if port_of(one) != port_of(other):
        return False
    hosts = {"127.0.0.1" if host_of(each) == "localhost" else host_of(each) for each in (one, other)}
    return len(hosts) == 1 or (bool(hosts & _ALL_OF_IT) and hosts <= _ALL_OF_IT | _LOOPBACK)


def next_ports(address: str, count: int) -> tuple[str, ...]:
    """The addresses of so many ports after that of a HOST:PORT."""
    host, first = address.rpartition(":")[0], port_of(address) + 1
    return tuple(f"{host}:{port}" for port in range(first, first + count))


def port_of(address: str) -> int:
    """The port of a HOST:PORT."""
    return int(address.rpartition(":")[2])
