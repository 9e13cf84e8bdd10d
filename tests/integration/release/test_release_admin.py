"""The admin socket of the real Envoy: what it says of itself, its routes and hosts; and what is made of nonsense."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from intently_release.colors import Color, all_to, split
from intently_release.errors import ProxyProblem
from intently_release.proxy.admin import Applied, EnvoyAdmin
from intently_release.proxy.answers import Hosts
from intently_release.xds.publish import publish_routes
from intently_release.xds.snapshot import render
from support.envoy_process import run_folder, running_envoy
from support.judged_colors import JudgedColors, calling, judged_colors

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
BLUE, GREEN = Color.BLUE, Color.GREEN
QUESTIONS: dict[str, Callable[[EnvoyAdmin], Awaitable[Any]]] = {
    "stats": lambda admin: admin.stats("."),
    "histograms": lambda admin: admin.histograms("."),
    "measured": lambda admin: admin.measured("."),
    "applied": lambda admin: admin.applied(),
    "hosts": lambda admin: admin.hosts(),
    "server": lambda admin: admin.server(),
}


@pytest.fixture(scope="module")
def colors() -> Iterator[JudgedColors]:
    with judged_colors(all_to(BLUE)) as started:
        yield started


@pytest.fixture
async def admin(colors: JudgedColors) -> AsyncIterator[EnvoyAdmin]:
    async with EnvoyAdmin(colors.envoy.layout.admin_socket) as opened:
        yield opened


@pytest.fixture
def folder() -> Iterator[Path]:
    with run_folder() as made:
        yield made


@contextlib.asynccontextmanager
async def answering(folder: Path, status: int, body: bytes, after_s: float = 0) -> AsyncIterator[Path]:
    """A server on a unix socket that gives everybody this answer."""

    async def answer(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(after_s)
        return web.Response(status=status, body=body)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "admin.sock")).start()
        yield folder / "admin.sock"
    finally:
        await runner.cleanup()


async def test_envoy_says_that_it_is_there(admin: EnvoyAdmin) -> None:
    assert await admin.ready()
    server = await admin.server()
    assert (server.state, server.epoch) == ("LIVE", 0)
    assert server.uptime_s >= 0


@pytest.mark.parametrize("percent", [0, 5, 50, 100])
async def test_routes_are_applied_when_version_and_weights_say_so(
    colors: JudgedColors, admin: EnvoyAdmin, percent: int
) -> None:
    weights = split(GREEN, percent)
    envoy = colors.envoy

    version = publish_routes(render(envoy.config, envoy.layout, weights, {GREEN: "a1" * 32}), envoy.layout)

    while (applied := await admin.applied()).version != version:  # noqa: ASYNC110  # Envoy is asked
        await asyncio.sleep(0.005)
    assert applied == Applied(version, weights)


async def test_hosts_are_counted_by_color(colors: JudgedColors, admin: EnvoyAdmin) -> None:
    assert await admin.hosts() == {BLUE: Hosts(1, 1, 0), GREEN: Hosts(1, 1, 0)}


async def test_a_dead_host_is_not_healthy(folder: Path) -> None:
    with judged_colors(all_to(BLUE)) as colors:
        colors.servers[GREEN].process.send_signal(signal.SIGKILL)
        async with EnvoyAdmin(colors.envoy.layout.admin_socket) as admin:
            while (hosts := await admin.hosts())[GREEN].healthy:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)

    assert hosts == {BLUE: Hosts(1, 1, 0), GREEN: Hosts(0, 1, 0)}


async def test_statistics_are_found_by_a_pattern(colors: JudgedColors, admin: EnvoyAdmin) -> None:
    async with calling(colors.envoy) as caller:
        await caller.call(10)
        await caller.settled()

    assert await admin.stats(r"^cluster\.(blue|green)\.membership_total$") == {
        "cluster.blue.membership_total": 1,
        "cluster.green.membership_total": 1,
    }
    found = await admin.histograms(r"^cluster\.\w+-first\.grpc\..*\.Classify\.upstream_rq_time$")
    assert sum(each.count for each in found.values()) == 10
    assert await admin.stats("^no such statistic$") == {}


async def test_a_restarted_envoy_is_asked_as_before() -> None:
    with judged_colors(all_to(BLUE)) as colors:
        envoy = colors.envoy
        async with EnvoyAdmin(envoy.layout.admin_socket) as admin:
            assert await admin.ready()
            envoy.process.kill()
            envoy.process.wait()
            with pytest.raises(ProxyProblem, match="cannot be reached"):
                await admin.ready()
            with running_envoy(envoy.config, envoy.layout.run_dir):
                assert await admin.ready()


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>no JSON</html>", "what is not understood"),
        (200, b'{"stats": 1, "configs": 1, "cluster_statuses": 1}', "what is not understood"),
        (200, b"\xff\xfe", "what is not understood"),
        (403, b"not\nallowed", "403: not allowed"),
    ],
)
async def test_nonsense_is_no_answer(
    folder: Path, ask: Callable[[EnvoyAdmin], Awaitable[Any]], status: int, body: bytes, said: str
) -> None:
    async with answering(folder, status, body) as socket, EnvoyAdmin(socket) as admin:
        with pytest.raises(ProxyProblem) as caught:
            await ask(admin)

    assert said in str(caught.value)
    assert str(socket) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_envoy_that_is_not_ready_says_so(folder: Path) -> None:
    async with answering(folder, 503, b"PRE_INITIALIZING") as socket, EnvoyAdmin(socket) as admin:
        assert not await admin.ready()


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS.keys())
async def test_nobody_there_is_a_problem(folder: Path, ask: Callable[[EnvoyAdmin], Awaitable[Any]]) -> None:
    async with EnvoyAdmin(folder / "admin.sock") as admin:
        with pytest.raises(ProxyProblem, match=r"admin\.sock cannot be reached"):
            await ask(admin)


async def test_an_envoy_that_hangs_is_not_waited_for(folder: Path) -> None:
    async with answering(folder, 200, b"", after_s=1) as socket, EnvoyAdmin(socket, timeout_s=0.2) as admin:
        with pytest.raises(ProxyProblem, match=r"did not answer within 0\.2 s"):
            await admin.ready()


async def test_it_is_used_in_its_block(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await EnvoyAdmin(folder / "admin.sock").ready()
