"""Settings that cannot be together where several front ends share an engine."""

from intently_server.settings.problem import SettingsProblem
from intently_server.settings.settings import Settings

_LAST_PORT = 65_535


def part_of_bound(bound: int, front_ends: int) -> int:
    """What one of so many front ends gets of a bound: its share, rounded up."""
    return -(-bound // front_ends)


def check_front_ends(settings: Settings) -> None:
    """Accepts settings that so many front ends can have together, in silence.

    Raises:
        SettingsProblem: names what does not fit, and says what would.
    """
    count = settings.front_ends
    if count == 1:
        if settings.front_end_port:
            raise SettingsProblem("--front-end-port: is for several front ends; one answers on --address alone")
        return
    if settings.on_unix_socket:
        raise SettingsProblem(
            f"--front-ends: {count} processes cannot listen on {settings.address}; a unix socket has one"
        )
    _check_ports(settings)
    batch, part = min(settings.max_batch_size, settings.max_in_flight), part_of_bound(settings.max_in_flight, count)
    if batch > part:
        raise SettingsProblem(
            f"--max-batch-size: a batch of {batch} has no room in one of {count} front ends, which takes {part} "
            f"requests at once: let it be {part} at most, or --max-in-flight {batch * count} at least"
        )


def _check_ports(settings: Settings) -> None:
    first, last = settings.front_end_port, settings.front_end_port + settings.front_ends - 1
    if not first:
        return
    if last > _LAST_PORT:
        raise SettingsProblem(f"--front-end-port: {settings.front_ends} ports from {first} on end at {last}")
    port = settings.address.rpartition(":")[2]
    if port.isdecimal() and first <= int(port) <= last:
        raise SettingsProblem(f"--front-end-port: the ports {first} to {last} include that of --address, {port}")
