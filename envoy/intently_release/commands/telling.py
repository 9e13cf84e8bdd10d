"""Tells the operator of `up` when calls are answered, and what is missing. It ends nothing that serves."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from intently_release.commands.desk import Desk
from intently_release.commands.first_call import first_call
from intently_release.commands.starting import Start
from intently_release.errors import ProxyProblem, ReleaseError, ServerProblem
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.calling import operators_channel
from intently_release.release.listening import must_listen
from intently_release.release.readiness import Readiness
from intently_release.state import Seen, read_observed
from intently_release.supervise.unproven import prove

logger = logging.getLogger(__name__)

_AGAIN_S = 1.0


async def tell_when_serving(desk: Desk, start: Start, *, as_json: bool) -> None:
    """Returns once all servers of the stable color serve. Says so, and before that, that some of them do.

    Raises:
        ReleaseError: if it is a first start and not even one does: there is no use in going on.
    """
    async with (
        EnvoyAdmin(desk.layout.admin_socket) as admin,
        operators_channel(desk.config, desk.layout) as channel,
    ):
        config = desk.config
        readiness = Readiness(desk.layout, admin, channel, config.servers.start_timeout, config.front_ends_of)
        await _Telling(desk, start, admin, readiness, as_json=as_json).run()


class _Telling:
    def __init__(self, desk: Desk, start: Start, admin: EnvoyAdmin, readiness: Readiness, *, as_json: bool) -> None:
        self._desk = desk
        self._state = start.state
        self._is_first = start.first
        self._admin = admin
        self._readiness = readiness
        self._as_json = as_json
        self._began = time.monotonic()
        self._serves = False
        self._said = ""

    async def run(self) -> None:
        while True:
            try:
                self._state = self._desk.store.read() or self._state  # a release may have ended meanwhile
                stable = self._state.stable
                seconds = await self._readiness.wait(stable, self._state.slots[stable])
                await self._must_listen()
            except ReleaseError as problem:
                await self._without_all(problem)
                await asyncio.sleep(_AGAIN_S)
            else:
                self._tell({"seconds": round(seconds, 2)}, "")
                return

    async def _without_all(self, problem: ReleaseError) -> None:
        """Says what is missing, and that the others serve; raises the problem if there are none and never were."""
        may_come = [] if self._serves or not isinstance(problem, ServerProblem) else self._living()
        if any(not seen.ready for seen in may_come):
            return
        serving, servers = await self._serving()
        if may_come and not await self._is_any_healthy():  # what lives has not yet been asked by Envoy
            return
        if not serving and self._is_first and not self._serves:
            raise problem
        if str(problem) != self._said:
            self._said = str(problem)
            logger.error("%s; what runs goes on", problem)
        if serving and not self._serves:
            self._tell({"healthy": serving, "servers": servers}, f", by {serving} of {servers} servers")

    async def _serving(self) -> tuple[int, int]:
        try:
            await self._must_listen()
            return await self._readiness.serving(self._state.stable)
        except ReleaseError:
            return 0, 0

    async def _is_any_healthy(self) -> bool:
        try:
            hosts = (await self._admin.hosts()).get(self._state.stable)
        except ProxyProblem:
            return False
        return hosts is not None and hosts.healthy > 0

    def _living(self) -> list[Seen]:
        """Servers that never died, as long as one may take to start: others than those that did may come yet."""
        if time.monotonic() > self._began + self._desk.config.servers.start_timeout:
            return []
        observed, mine = read_observed(self._desk.layout), f"{self._state.stable}-"
        return [
            seen
            for name, seen in observed.items()
            if name.startswith(mine) and seen.pid is not None and seen.restarts == 0
        ]

    async def _must_listen(self) -> None:
        await must_listen(self._admin, self._desk.config.listener.address)

    def _tell(self, figures: Mapping[str, Any], how_many: str) -> None:
        self._serves = True
        prove(self._desk.layout)
        stable, address = self._state.stable, self._desk.config.listener.address
        slot = self._state.slots[stable]
        if self._as_json:
            document = {"event": "serving", "address": address, "revision": slot.revision, **figures}
            sys.stdout.write(json.dumps(document) + "\n")
        else:
            sys.stdout.write(
                f"\n{slot.bundle} is SERVING on {address}, through Envoy, on {stable}{how_many}. "
                "In another shell:\n\n"
                f"    {first_call(self._desk.config)}\n\n"
                "Ctrl-C ends it.\n"
            )
        sys.stdout.flush()
