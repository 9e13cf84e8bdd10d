"""Moves traffic: writes down what is wanted, gives Envoy the routes, and waits until it uses them."""

import asyncio
import time

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import Applied, EnvoyAdmin
from intently_release.state.state import State
from intently_release.state.store import Store
from intently_release.xds.publish import publish_routes
from intently_release.xds.snapshot import Snapshot, render

_APPLIED_WITHIN_S = 5.0
_POLL_S = 0.005


class Shifting:
    """Moves traffic.

    Args:
        config: What is rendered.
        layout: Where to.
        store: Keeps the state.
        admin: Says what Envoy uses.
    """

    def __init__(self, config: ReleaseConfig, layout: Layout, store: Store, admin: EnvoyAdmin) -> None:
        self._config = config
        self._layout = layout
        self._store = store
        self._admin = admin

    async def must_be_possible(self) -> None:
        """Raises ProxyProblem if there is no Envoy to move traffic with."""
        await self._admin.applied()

    async def serves(self, color: Color) -> bool:
        """Whether Envoy holds a server of this color for healthy.

        Raises:
            ProxyProblem: if Envoy cannot be asked.
        """
        hosts = (await self._admin.hosts()).get(color)
        return hosts is not None and hosts.healthy > 0

    async def follows(self, state: State) -> bool:
        """Whether Envoy routes by this state: all of its routes, not only their weights.

        Raises:
            ProxyProblem: if Envoy cannot be asked.
        """
        applied = await self._admin.applied()
        return applied == Applied(str(self._snapshot(state).rds["version_info"]), state.weights)

    async def to(self, state: State, mirror_to: Color | None = None) -> float:
        """Makes a state the wanted one, and returns once Envoy routes by it: after how many seconds.

        The state is written first. Whoever is killed between the two leaves Envoy behind it, and no supervisor looks
        for that while it runs: the next command does (see `unfinished`), and so does the next `up`. An Envoy that dies
        meanwhile is asked again until the time is over: `up` starts it anew, and it then reads these routes.

        Raises:
            StateProblem: if the state cannot be written.
            RenderProblem: if its routes cannot be given to Envoy.
            WriteProblem: if they cannot be written.
            ProxyProblem: if Envoy does not take them up.
        """
        began = time.monotonic()
        self._store.write(state)
        version = await asyncio.to_thread(publish_routes, self._snapshot(state, mirror_to), self._layout)
        wanted = Applied(version, state.weights)
        while (problem := await self._missing(wanted)) is not None:
            if time.monotonic() - began > _APPLIED_WITHIN_S:
                raise problem
            await asyncio.sleep(_POLL_S)
        return time.monotonic() - began

    async def _missing(self, wanted: Applied) -> ProxyProblem | None:
        """Why Envoy cannot be said to use these routes; None if it does."""
        try:
            applied = await self._admin.applied()
        except ProxyProblem as problem:
            return problem
        if applied == wanted:
            return None
        return ProxyProblem(
            f"Envoy did not take up the routes within {_APPLIED_WITHIN_S:g} s: it uses {applied.weights}; "
            f"see {self._layout.log('envoy')}"
        )

    def _snapshot(self, state: State, mirror_to: Color | None = None) -> Snapshot:
        return render(self._config, self._layout, state.weights, state.revisions, mirror_to)
