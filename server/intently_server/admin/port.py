"""The HTTP server of the admin port, on the event loop of the calls."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from intently_server.admin.hosts import Hosts
from intently_server.admin.page import page
from intently_server.admin.status import StatusReport
from intently_server.lifecycle import Phase
from intently_server.telemetry import Telemetry

logger = logging.getLogger(__name__)

_CLOSE_S = 0.5  # what a request under way has left at the end
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


Refresh = Callable[[], Awaitable[None]]


class AdminPort:
    """Answers /statusz, /metrics, /readyz and /healthz. Nothing here changes anything.

    Args:
        telemetry: What is shown.
        report: All of it as one document.
        refresh: Awaited before anything is shown.
    """

    def __init__(self, telemetry: Telemetry, report: StatusReport, refresh: Refresh | None = None) -> None:
        self._telemetry = telemetry
        self._report = report
        self._refresh = refresh or _nothing
        self._runner: web.AppRunner | None = None

    async def open(self, address: str) -> str:
        """Listens on HOST:PORT; returns the address with the port that it really has.

        Raises:
            OSError: if that cannot be listened on.
        """
        hosts = Hosts(address)
        if not hosts.is_loopback:
            logger.warning("the admin port, %s, is open to the network: whoever reaches it may read it", address)
        application = web.Application(middlewares=[_with_headers, _only_for(hosts)])
        application.router.add_get("/", self._index)
        application.router.add_get("/statusz", self._statusz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/healthz", self._healthz)
        if self._telemetry.exposition is not None:
            application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_S)
        await self._runner.setup()
        host, _, port = address.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        return f"{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _index(self, _request: web.Request) -> web.Response:
        raise web.HTTPFound("/statusz")

    async def _healthz(self, _request: web.Request) -> web.Response:
        await self._refresh()
        phase = self._telemetry.vitals.phase
        return _plain(phase.value, 503 if phase is Phase.ENGINE_DEAD else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        await self._refresh()
        phase = self._telemetry.vitals.phase
        return _plain(phase.value, 200 if phase is Phase.SERVING else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._refresh()
        exposition = self._telemetry.exposition
        if exposition is None:
            raise web.HTTPNotFound
        self._telemetry.ledger.settle()
        # In a thread: with vLLM's own metrics the text takes milliseconds, in which calls go on.
        text, content_type = await asyncio.to_thread(exposition.write, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _statusz(self, request: web.Request) -> web.Response:
        await self._refresh()
        status = self._report.read()
        if request.query.get("format") == "json":
            return web.json_response(status, dumps=lambda document: json.dumps(document, indent=2))
        return web.Response(text=page(status, metrics=self._telemetry.exposition is not None), content_type="text/html")


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(_HEADERS)
    return response


def _only_for(hosts: Hosts) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if hosts.answer_for(request.headers.get("Host", "")):
            return await handler(request)
        return _plain("this port answers for hosts of this machine alone", 421)

    return check


async def _nothing() -> None:
    """What is shown is kept up to date by itself."""


def _plain(text: str, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status)
