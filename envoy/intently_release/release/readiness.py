"""Waits until a color serves a bundle: SERVING, warmed up, healthy in Envoy's eyes, and with the right revision."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import grpc

from intently.v1 import intent_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.errors import ProxyProblem, ServerProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.deaths import Deaths
from intently_release.release.packaged import Packaged
from intently_release.state import read_observed, supervisor_of
from intently_release.xds.names import PIN_HEADER

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

_POLL_S = 0.05
_ASK_TIMEOUT_S = 2.0
_UNSUPERVISED_S = 10.0  # in which a supervisor may be started again
_ENVOY = "envoy"
_TEXT = "hello"


class Revised(Protocol):
    """What a color serves: a bundle, or the slot that it runs in."""

    @property
    def revision(self) -> str:
        """Its revision; "" if any will do."""


class Readiness:
    """Waits for a color.

    Args:
        layout: Where the supervisor writes what it runs.
        admin: Says what Envoy holds for healthy.
        channel: To Envoy.
        timeout_s: How long a server may take to start.
        front_ends: How many each server of a color has; to Envoy, each is a server.
    """

    def __init__(
        self,
        layout: Layout,
        admin: EnvoyAdmin,
        channel: grpc.aio.Channel,
        timeout_s: float,
        front_ends: Callable[[Color], int],
    ) -> None:
        self._layout = layout
        self._admin = admin
        self._intents: IntentServiceAsyncStub = IntentServiceStub(channel)
        self._timeout_s = timeout_s
        self._front_ends = front_ends

    async def wait(self, color: Color, wanted: Revised) -> float:
        """Returns once all servers of the color serve it: after how many seconds.

        Raises:
            ServerProblem: if they do not within the time, or one dies again and again, or will not let the operator
                in. Names the log.
            ProxyProblem: if Envoy dies again and again.
        """
        began = supervised_at = time.monotonic()
        deaths = Deaths(read_observed(self._layout))
        missing = "its servers were not seen yet"
        while time.monotonic() - began < self._timeout_s:
            missing = await self._missing(color, wanted)
            if not missing:
                return time.monotonic() - began
            observed = read_observed(self._layout)
            deaths.see(observed)
            self._must_live(color, deaths)
            if supervisor_of(self._layout) is not None or not observed:
                supervised_at = time.monotonic()  # on Kubernetes there is none, and never was
            elif time.monotonic() - supervised_at > _UNSUPERVISED_S:
                raise ServerProblem(f"nobody starts {color}'s servers: `intently-release up` has ended")
            await asyncio.sleep(_POLL_S)
        raise ServerProblem(f"{color} is not ready after {self._timeout_s:g} s: {missing}; see {self._log(color)}")

    async def serving(self, color: Color) -> tuple[int, int]:
        """How many servers of the color get calls, and of how many; 0 if a call to it is not answered.

        Raises:
            ProxyProblem: if Envoy cannot be asked.
        """
        hosts = (await self._admin.hosts()).get(color)
        if hosts is None:
            return 0, 0
        _, code = await self._served(color)
        return 0 if code else hosts.healthy, hosts.total

    def _must_live(self, color: Color, deaths: Deaths) -> None:
        """Raises if what is waited for dies again and again: more of the same would not help."""
        if often := deaths.too_often(_ENVOY):
            raise ProxyProblem(f"Envoy {often}; see {self._layout.log(_ENVOY)}")
        for name in deaths.names:
            if name.startswith(f"{color}-") and (often := deaths.too_often(name)):
                raise ServerProblem(f"{name} {often}; see {self._layout.log(name)}")

    async def _missing(self, color: Color, wanted: Revised) -> str:
        """What it lacks, in words; nothing if it is ready."""
        try:
            hosts = (await self._admin.hosts()).get(color)
        except ProxyProblem as problem:
            return str(problem)
        if hosts is None or not hosts.total:
            return "Envoy knows no server of it"
        down = self._down([f"{color}-{index}" for index in range(hosts.total // self._front_ends(color))])
        if hosts.healthy < hosts.total:
            return "; ".join([f"Envoy holds {hosts.healthy} of {hosts.total} servers for healthy", *down])
        if down:  # and somebody else answers at its address
            return "; ".join(down)
        for _ in range(hosts.total):
            served, code = await self._served(color, _asked(wanted))
            if code:
                return f"a call to it ended with {code}"
            if wanted.revision and served != wanted.revision:
                return f"it serves {served[:12]}, not {wanted.revision[:12]}"
        return ""

    async def _served(self, color: Color, text: str = _TEXT) -> tuple[str, str]:
        """The revision that answers there, or the name of the code that a call ended with.

        Raises:
            ServerProblem: if the servers want another token: they will not change their minds.
        """
        request = intent_service_pb2.ClassifyRequest(text=text)
        try:
            answer = await self._intents.Classify(request, timeout=_ASK_TIMEOUT_S, metadata=((PIN_HEADER, str(color)),))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise ServerProblem(
                    f"{color}'s servers refuse the operator's calls (UNAUTHENTICATED): servers.token_file must name a "
                    "file with a token that is in their --token-file"
                ) from None
            return "", error.code().name
        return answer.model.revision, ""

    def _down(self, names: Iterable[str]) -> list[str]:
        """Those that are to run on this host and are not up, as far as somebody watches them."""
        if supervisor_of(self._layout) is None:
            return []
        observed = read_observed(self._layout)
        return [
            f"{name} is not SERVING" + (f" ({seen.last_exit})" if seen.last_exit else "")
            for name in names
            if (seen := observed.get(name)) is not None and not seen.ready
        ]

    def _log(self, color: Color) -> str:
        return str(self._layout.log(f"{color}-0"))


def _asked(wanted: Revised) -> str:
    """What it is asked: of a canary, what it must know. How it does with all else is for the judgement to say."""
    return wanted.manifest.golden_vectors[0].text if isinstance(wanted, Packaged) else _TEXT
