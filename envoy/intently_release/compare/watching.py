"""Reads what Envoy and the servers have counted, before and after a window in which calls are mirrored."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from intently_release.colors import Color
from intently_release.compare.bound import Sent
from intently_release.compare.counted import Counted, counted_of
from intently_release.config import ReleaseConfig
from intently_release.errors import Refused, ServerProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.xds.names import INTENT_SERVICE, cluster_of, first

_SINGLE = f"grpc.{INTENT_SERVICE.replace('.', '_')}.Classify"
_PATTERN = (
    rf"^cluster\.(blue|green)(-first)?\.({_SINGLE.replace('.', '[.]')}\.(request_message_count|total)"
    r"|upstream_rq_(active|retry))$|^server\.(uptime|hot_restart_epoch)$"
)
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was counted so far.

    Attributes:
        envoy: Its statistics.
        servers: By color, summed over its servers.
        processes: Which servers that were.
    """

    envoy: Mapping[str, int]
    servers: Mapping[Color, Counted]
    processes: frozenset[int]


async def look(config: ReleaseConfig, layout: Layout, admin: EnvoyAdmin, *, envoy_last: bool) -> Moment:
    """Reads all of it. Envoy comes first before a window and last after it, so that it counts no call too few.

    Raises:
        Refused: if the servers do not say where they can be asked.
        ServerProblem: if one cannot be asked.
        ProxyProblem: if Envoy cannot be asked.
    """
    envoy = {} if envoy_last else await admin.stats(_PATTERN)
    servers: dict[Color, Counted] = {}
    processes: set[int] = set()
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for color in Color:
            found = [_ready(layout, color, index) for index in range(len(config.colors.of(color).endpoints))]
            texts = await asyncio.gather(*(_metrics(session, color, address) for address, _ in found))
            servers[color] = sum(map(counted_of, texts), Counted())
            processes.update(pid for _, pid in found)
    return Moment(await admin.stats(_PATTERN) if envoy_last else envoy, servers, frozenset(processes))


def within(before: Moment, after: Moment, stable: Color) -> tuple[Sent, Mapping[Color, Counted]]:
    """What was sent, and what each color counted.

    Raises:
        Refused: if Envoy or a server was restarted meanwhile, or the canary had calls of its own: then the colors did
            not see the same ones.
    """
    counted = {color: after.servers[color].since(before.servers[color]) for color in Color}
    apart = {name: count - before.envoy.get(name, 0) for name, count in after.envoy.items()}
    back = any(count < 0 for name, count in apart.items() if not name.endswith("_active"))
    whole = {color: each for color, each in counted.items() if each is not None}
    if back or before.processes != after.processes or len(whole) < len(counted):
        raise Refused("Envoy or a server was restarted meanwhile, and what was counted is lost; try again")
    if apart.get(f"cluster.{first(stable.other)}.{_SINGLE}.request_message_count", 0):
        raise Refused(f"{stable.other} got calls of its own meanwhile: without --mirrored, utterances are replayed")
    weighted, canary = first(stable), cluster_of(stable.other)
    copies = before.envoy.get(f"cluster.{canary}.upstream_rq_active", 0)  # of calls that have ended, too
    sent = Sent(
        calls=_begun(before, apart, weighted, stable) + copies + apart.get(f"cluster.{weighted}.upstream_rq_retry", 0),
        to_stable=_begun(before, apart, cluster_of(stable), stable),
        to_canary=_begun(before, apart, canary, stable.other),
    )
    return sent, whole


def _begun(before: Moment, apart: Mapping[str, int], cluster: str, color: Color) -> int:
    """Single calls that began within the window, or before it and might still have been under way."""
    name = f"cluster.{cluster}.{_SINGLE}."
    open_ones = before.envoy.get(f"{name}request_message_count", 0) - before.envoy.get(f"{name}total", 0)
    active = before.envoy.get(f"cluster.{cluster_of(color)}.upstream_rq_active", 0)
    return apart.get(f"{name}request_message_count", 0) + max(0, min(open_ones, active))


def _ready(layout: Layout, color: Color, index: int) -> tuple[str, int]:
    """Where a server's admin port is, and the server's process."""
    path = layout.ready(color, index)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        address, pid = str(document["admin"]), int(document["pid"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} does not say where {color}'s server can be asked: does it run on this host?") from error
    if not address:
        raise Refused(f"the admin port of {color}'s server is closed: leave --admin-address out of servers.flags")
    return address, pid


async def _metrics(session: aiohttp.ClientSession, color: Color, address: str) -> str:
    try:
        async with session.get(f"http://{address}/metrics") as answer:
            if answer.status == 200:
                return await answer.text()
            problem = f"answered {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        problem = type(error).__name__
    raise ServerProblem(f"{color}'s server cannot be asked for its metrics at {address}: {problem}")
