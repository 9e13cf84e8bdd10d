"""Waits until a color serves a bundle: SERVING, warmed up, healthy in Envoy's eyes, and with the right revision."""

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from intently.v1 import intent_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.errors import ProxyProblem, ServerProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.packaged import Packaged
from intently_release.state import read_observed, supervisor_of
from intently_release.xds.names import PIN_HEADER

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

_POLL_S = 0.05
_ASK_TIMEOUT_S = 2.0
_UNSUPERVISED_S = 10.0  # in which a supervisor may be started again
_MOST_DEATHS = 3  # before it has served; more of the same would not help


class Readiness:
    """Waits for a color.

    Args:
        layout: Where the supervisor writes what it runs.
        admin: Says what Envoy holds for healthy.
        channel: To Envoy.
        timeout_s: How long a server may take to start.
    """

    def __init__(self, layout: Layout, admin: EnvoyAdmin, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._layout = layout
        self._admin = admin
        self._intents: IntentServiceAsyncStub = IntentServiceStub(channel)
        self._timeout_s = timeout_s

    async def wait(self, color: Color, packaged: Packaged) -> float:
        """Returns once the color serves the bundle: after how many seconds.

        Raises:
            ServerProblem: if it does not within the time, or its server dies again and again. Names the log.
        """
        began = supervised_at = time.monotonic()
        deaths_before = self._deaths(color)
        missing = "its servers were not seen yet"
        while time.monotonic() - began < self._timeout_s:
            missing = await self._missing(color, packaged)
            if not missing:
                return time.monotonic() - began
            if (deaths := self._deaths(color) - deaths_before) >= _MOST_DEATHS:
                raise ServerProblem(f"{color}'s server died {deaths} times before it served; see {self._log(color)}")
            if supervisor_of(self._layout) is not None or not read_observed(self._layout):
                supervised_at = time.monotonic()  # on Kubernetes there is none, and never was
            elif time.monotonic() - supervised_at > _UNSUPERVISED_S:
                raise ServerProblem(f"nobody starts {color}'s servers: `intently-release up` has ended")
            await asyncio.sleep(_POLL_S)
        raise ServerProblem(f"{color} is not ready after {self._timeout_s:g} s: {missing}; see {self._log(color)}")

    async def _missing(self, color: Color, packaged: Packaged) -> str:
        """What it lacks, in words; nothing if it is ready."""
        try:
            hosts = (await self._admin.hosts()).get(color)
        except ProxyProblem as problem:
            return str(problem)
        if hosts is None or not hosts.total:
            return "Envoy knows no server of it"
        if hosts.healthy < hosts.total:
            return f"Envoy holds {hosts.healthy} of {hosts.total} servers for healthy"
        for _ in range(hosts.total):
            served = await self._served(color, packaged.manifest.golden_vectors[0].text)
            if served != packaged.revision:
                return f"it serves {served[:12] or 'nothing yet'}, not {packaged.revision[:12]}"
        return ""

    async def _served(self, color: Color, text: str) -> str:
        """The revision that answers there; nothing if none does."""
        request = intent_service_pb2.ClassifyRequest(text=text)
        try:
            answer = await self._intents.Classify(request, timeout=_ASK_TIMEOUT_S, metadata=((PIN_HEADER, str(color)),))
        except grpc.aio.AioRpcError:
            return ""
        return answer.model.revision

    def _deaths(self, color: Color) -> int:
        seen = read_observed(self._layout)
        return sum(each.restarts for name, each in seen.items() if name.startswith(f"{color}-"))

    def _log(self, color: Color) -> str:
        return str(self._layout.log(f"{color}-0"))
