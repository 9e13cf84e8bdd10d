"""What is started: Envoy's command line and the servers'."""

import ipaddress
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from intently_release.colors import Color
from intently_release.config import ReleaseConfig, host_of, port_of
from intently_release.layout import Layout
from intently_release.state import Slot


@dataclass(frozen=True, slots=True)
class Program:
    """What a process runs.

    Attributes:
        arguments: Command and arguments.
        env: Environment variables, over those of the supervisor.
        bundle, revision, address: What it serves, and where; None and "" of Envoy.
        front_ends: How many processes of it answer: Envoy calls each where it listens by itself.
        moves: How often the streams that it had open were to move: see `Slot`.
    """

    arguments: tuple[str, ...]
    bundle: Path | None = None
    revision: str = ""
    address: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    moves: int = 0
    front_ends: int = 1

    @property
    def where(self) -> str:
        """Where it serves, in words."""
        return f"on {self.address}" + (f" by {self.front_ends} front ends" if self.front_ends > 1 else "")

    def serves_as(self, other: "Program") -> bool:
        """Whether the other may go on in its place. A revision that is not known speaks against nothing.

        Nor does any other argument: it is taken up with the next restart, and no traffic is cut off for it.
        """
        may_be_same = self.revision == other.revision or not (self.revision and other.revision)
        where = (self.bundle, self.address, self.front_ends)
        return may_be_same and where == (other.bundle, other.address, other.front_ends)


def envoy_program(config: ReleaseConfig, layout: Layout, envoy: Path) -> Program:
    """Envoy's.

    Args:
        config: How.
        layout: Where its files are.
        envoy: The executable.
    """
    return Program(
        (
            *(str(envoy), "-c", str(layout.bootstrap)),
            "--reject-unknown-dynamic-fields",
            "--disable-hot-restart",  # with it, Envoy ends as soon as whoever started it does, and shares memory
            *("--drain-time-s", f"{config.listener.drain_s:.0f}"),
            *("--concurrency", str(config.traffic.workers)),
            *("--log-level", "warning"),
        )
    )


def server_program(config: ReleaseConfig, layout: Layout, color: Color, index: int, slot: Slot) -> Program:
    """That of the server on one of a color's endpoints."""
    servers, of_color = config.servers, config.colors.of(color)
    address = of_color.endpoints[index]
    return Program(
        (
            *_beside_this_python(servers.command),
            *servers.flags,
            *("--bundle", str(slot.bundle)),
            *("--address", address),
            *_front_ends(config.own_addresses(color, address)),
            *("--max-wait", f"{servers.max_wait:g}"),
            *("--max-concurrent-streams", f"{servers.max_concurrent_streams}"),
            *("--drain-delay", f"{servers.drain_delay:g}"),
            *("--drain-timeout", f"{servers.drain_timeout:g}"),
            *("--ready-file", str(layout.ready(color, index))),
        ),
        slot.bundle,
        slot.revision,
        address,
        {**servers.env, **of_color.env},
        slot.moves,
        config.front_ends_of(color),
    )


def _front_ends(own: Sequence[str]) -> tuple[str, ...]:
    """Nothing of one alone: servers that know nothing of several can still be started."""
    return ("--front-ends", f"{len(own)}", "--front-end-port", f"{port_of(own[0])}") if own else ()


def _beside_this_python(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command from this environment, if it has it: nobody need activate that."""
    beside = Path(sys.executable).parent / command[0]
    return (str(beside), *command[1:]) if os.access(beside, os.X_OK) else command


def local_servers(config: ReleaseConfig, color: Color) -> Iterator[int]:
    """Indices of a color's endpoints that are on this host's loopback: those that are started here."""
    for index, endpoint in enumerate(config.colors.of(color).endpoints):
        host = host_of(endpoint)
        try:
            local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if local:
            yield index
