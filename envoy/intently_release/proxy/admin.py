"""Envoy's admin socket: what it measures, which routes it uses, whom it holds for healthy. It is only read."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp

from intently_release.colors import Color, Weights
from intently_release.errors import ProxyProblem
from intently_release.proxy import answers
from intently_release.proxy.answers import Hosts, Measured, Server
from intently_release.proxy.histogram import Histogram
from intently_release.xds.names import CALLS, ROUTES, STAT_PREFIX, cluster_of

_VERSION = f"http.{STAT_PREFIX}.rds.{ROUTES}.version_text"
_ACTIVE = "upstream_rq_active"
_CALLS = rf"^cluster[.]\w+[.](circuit_breakers[.]{CALLS.lower()}[.]remaining_rq|upstream_rq_pending_active|{_ACTIVE})$"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Applied:
    """The routes that Envoy uses.

    Attributes:
        version: Their version_info; empty if it has none, or is just changing them.
        weights: Percent of the new calls by color; None if it has none, or its routes disagree.
    """

    version: str
    weights: Weights | None


class EnvoyAdmin:
    """Asks one Envoy. Its methods may be called from the `async with` block, many at once.

    Every method raises ProxyProblem if Envoy cannot be reached, does not answer in time, or is not understood.

    Args:
        socket: The unix socket; it may come and go with Envoy.
        timeout_s: How long an answer may take.
    """

    def __init__(self, socket: Path, timeout_s: float = 5.0) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A connection for each question: one that is kept would fail the first question after a restart.
        connector = aiohttp.UnixConnector(path=str(self._socket), force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> bool:
        """Whether it takes calls."""
        status, _ = await self._get("/ready")
        return status == 200

    async def measured(self, pattern: str) -> Measured:
        """All statistics whose whole name a regular expression (RE2, anywhere in the name) finds, at one moment."""
        question = {"format": "json", "histogram_buckets": "detailed", "filter": pattern}
        return await self._read("/stats", answers.measured, question)

    async def stats(self, pattern: str) -> Mapping[str, int]:
        """Counters and gauges by name; see `measured`."""
        return (await self.measured(pattern)).counts

    async def histograms(self, pattern: str) -> Mapping[str, Histogram]:
        """Histograms by name; see `measured`."""
        return (await self.measured(pattern)).histograms

    async def applied(self) -> Applied:
        """The routes that it uses. Its version counts only where statistics and configuration agree on it."""
        version, weights = await self._read("/config_dump", answers.routes, {"resource": "dynamic_route_configs"})
        texts = (await self.measured(f"^{_VERSION}$".replace(".", "[.]"))).texts
        return Applied(version if texts.get(_VERSION) == version else "", weights)

    async def refused_listeners(self) -> Mapping[str, str]:
        """Why it does not listen as it was told last, by the name of the listener."""
        return await self._read("/config_dump", answers.refused_listeners, {"resource": "dynamic_listeners"})

    async def hosts(self) -> Mapping[Color, Hosts]:
        """Servers of each color that it has a cluster of."""
        return await self._read("/clusters", answers.hosts, {"format": "json"})

    async def calls_under_way(self) -> Mapping[Color, int]:
        """Single calls, batches and queries under way to each color, by whatever route they came; streams are none.

        A color that Envoy does not tell it of is left out.
        """
        return {color: calls for color, (calls, _) in (await self._under_way()).items()}

    async def streams_open(self) -> Mapping[Color, int]:
        """Streams open to a color, by whatever route they came. A color that Envoy does not tell it of is left out."""
        return {color: streams for color, (_, streams) in (await self._under_way()).items()}

    async def _under_way(self) -> Mapping[Color, tuple[int, int]]:
        """Calls and streams under way to each color, at one moment."""
        most = await self._read("/clusters", answers.most_calls, {"format": "json"})
        counts, found = await self.stats(_CALLS), {}
        for color, number in most.items():
            left, waiting, active = (counts.get(name) for name in _names_of(color))
            if left is not None and waiting is not None and active is not None:
                at_servers = number - left
                found[color] = at_servers + waiting, max(0, active - at_servers)
        return found

    async def server(self) -> Server:
        """Envoy itself; tells a restart by its epoch, and by an uptime that went back."""
        return await self._read("/server_info", answers.server)

    async def _read(self, path: str, parse: Callable[[bytes], T], question: Mapping[str, str] | None = None) -> T:
        status, body = await self._get(path, question)
        if status != 200:
            raise ProxyProblem(f"Envoy at {self._socket} answered {path} with {status}: {_brief(body)}")
        try:
            return parse(body)
        except ValueError as error:  # pydantic's are ValueErrors too
            raise ProxyProblem(f"Envoy at {self._socket} answered {path} with what is not understood") from error

    async def _get(self, path: str, question: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("not entered: use `async with EnvoyAdmin(...)`")
        try:
            async with self._session.get(f"http://envoy{path}", params=question) as answer:
                return answer.status, await answer.read()
        except asyncio.TimeoutError as error:  # noqa: UP041  # aiohttp's name for it on all Pythons
            raise ProxyProblem(f"Envoy at {self._socket} did not answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProxyProblem(
                f"Envoy at {self._socket} cannot be reached: is `intently-release up` running?"
            ) from error


def _names_of(color: Color) -> tuple[str, str, str]:
    """Of what says how many more calls may be at a color's servers, how many wait for room there, and all under way."""
    own = f"cluster.{cluster_of(color)}."
    left = f"circuit_breakers.{CALLS.lower()}.remaining_rq"
    return f"{own}{left}", f"{own}upstream_rq_pending_active", f"{own}{_ACTIVE}"


def _brief(body: bytes) -> str:
    return " ".join(body[:200].decode(errors="replace").split())
