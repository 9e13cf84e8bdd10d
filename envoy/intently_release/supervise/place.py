"""The places that processes take: what is the same for all that ever run there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin

ENVOY = "envoy"

_ASKED_S = 1.0
_ENVOY_ENDS_S = 10.0
_SERVER_SHUTS_DOWN_S = 25.0  # its engine's end, and what callers have left after the drain; seen: 15 at most


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process runs at a time.

    Attributes:
        name: "envoy", "blue-0" and so on.
        log: All that ran here wrote to it.
        is_ready: Whether what runs here answers.
        forget: Makes `is_ready` false again, before another one starts.
        starts_within_s: Seconds until it must be ready, or it counts as dead; None waits for ever.
        ends_within_s: Seconds that it has to end in order.
        hurries_within_s: The same once it was told twice.
    """

    name: str
    log: Path
    is_ready: Callable[[], Awaitable[bool]]
    forget: Callable[[], None]
    starts_within_s: float | None
    ends_within_s: float
    hurries_within_s: float


def envoy_place(layout: Layout) -> Place:
    """Envoy's."""

    async def is_ready() -> bool:
        try:
            async with EnvoyAdmin(layout.admin_socket, timeout_s=_ASKED_S) as admin:
                return await admin.ready()
        except ProxyProblem:
            return False

    return Place(
        name=ENVOY,
        log=layout.log(ENVOY),
        is_ready=is_ready,
        forget=lambda: layout.admin_socket.unlink(missing_ok=True),
        starts_within_s=None,
        ends_within_s=_ENVOY_ENDS_S,
        hurries_within_s=_ENVOY_ENDS_S,
    )


def server_place(config: ReleaseConfig, layout: Layout, ready_file: Path) -> Place:
    """A server's; the file is the one that it writes once it is SERVING."""

    async def is_ready() -> bool:
        return ready_file.exists()  # noqa: ASYNC240  # a local file, and nobody waits for this loop

    def forget() -> None:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.unlink(missing_ok=True)

    name, servers = ready_file.stem, config.servers
    return Place(
        name=name,
        log=layout.log(name),
        is_ready=is_ready,
        forget=forget,
        starts_within_s=servers.start_timeout,
        ends_within_s=servers.drain_delay + servers.drain_timeout + _SERVER_SHUTS_DOWN_S,
        hurries_within_s=_SERVER_SHUTS_DOWN_S,
    )


def ready_folder(layout: Layout) -> Path:
    """Where the servers' ready files are; the stem of each is a place's name."""
    return layout.ready(Color.BLUE, 0).parent
