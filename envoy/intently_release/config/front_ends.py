"""That each front end has a port which nobody else takes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from intently_release.config.base import LAST_PORT, meet, port_of


def check_ports(own: Mapping[str, Sequence[str]], taken: Iterable[tuple[str, str]]) -> None:
    """Returns if front ends can listen where they are to.

    Args:
        own: Where those of each endpoint's server listen by themselves: the ports after that endpoint's.
        taken: What else listens, and where; all endpoints are there.

    Raises:
        ValueError: names a port that is taken, and by what.
    """
    by_port: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for name, address in taken:
        by_port[port_of(address)].append((name, address))
    for endpoint, addresses in own.items():
        needs = f"front_ends: the server on {endpoint} takes the {len(addresses)} ports after that too"
        for address in addresses:
            if port_of(address) > LAST_PORT:
                raise ValueError(f"{needs}, and there are not so many")
            # Where two such rows of ports meet, the first one of one of them does: an endpoint.
            if found := [f"{name} ({each})" for name, each in by_port[port_of(address)] if meet(address, each)]:
                raise ValueError(f"{needs}, and {address} is also {found[0]}")
