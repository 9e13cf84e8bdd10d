"""The listener that callers come in by: whose pins count, who else may have its port, and how its workers share it."""

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color, all_to
from intently_release.config import ReleaseConfig
from intently_release.errors import ProxyProblem
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.listening import must_listen
from intently_release.xds.names import LISTENER, PIN_HEADER, REVISION_HEADER
from support.envoy_process import EnvoyProcess, run_folder, running_envoy
from support.serving import free_address
from support.two_colors import TwoColors, two_colors

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(60)]
HELLO = pb.ClassifyRequest(text="hello")
BLUE, GREEN = Color.BLUE, Color.GREEN
_CONNECTIONS = 8


@pytest.fixture(scope="module")
def without_pins() -> Iterator[TwoColors]:
    with two_colors(listener={"pins": False}) as colors:
        colors.shift(all_to(BLUE), by_revision=True)
        yield colors


@contextlib.contextmanager
def envoy_at(address: str) -> Iterator[EnvoyProcess]:
    """An Envoy that is told to listen there."""
    with run_folder() as folder:
        config = ReleaseConfig(run_dir=folder, metrics=free_address(), listener={"address": address})
        with running_envoy(config, folder) as envoy:
            yield envoy


@contextlib.contextmanager
def taken(address: str) -> Iterator[None]:
    """Somebody listens there already, who would share the port."""
    host, _, port = address.rpartition(":")
    with socket.socket() as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        owner.bind((host, int(port)))
        owner.listen()
        yield


def header(colors: TwoColors, name: str) -> tuple[str, str]:
    """A header by which green is asked for."""
    return name, {PIN_HEADER: GREEN.value, REVISION_HEADER: colors.revisions[GREEN]}[name]


@pytest.mark.parametrize("name", [PIN_HEADER, REVISION_HEADER])
async def test_callers_choose_no_color_where_they_may_not(without_pins: TwoColors, name: str) -> None:
    sent, asked = header(without_pins, name), pb.ClassifyStreamRequest(config=pb.StreamConfig())
    async with grpc.aio.insecure_channel(without_pins.address) as channel:
        intents = IntentServiceStub(channel)
        answer = await intents.Classify(HELLO, metadata=(sent,), timeout=20)
        stream = intents.ClassifyStream(metadata=(sent,), timeout=20)
        await stream.write(asked)
        opened = await stream.read()
        stream.cancel()

    assert isinstance(opened, pb.ClassifyStreamResponse)
    assert answer.model.revision == opened.ready.model.revision == without_pins.revisions[BLUE]


@pytest.mark.parametrize("name", [PIN_HEADER, REVISION_HEADER])
def test_nor_by_rest(without_pins: TwoColors, name: str) -> None:
    with contextlib.closing(http.client.HTTPConnection(without_pins.address, timeout=20)) as connection:
        connection.request("POST", "/v1/classify", b'{"text": "hello"}', dict([header(without_pins, name)]))
        document: dict[str, Any] = json.load(connection.getresponse())

    assert document["model"]["revision"] == without_pins.revisions[BLUE]


@pytest.mark.parametrize("name", [PIN_HEADER, REVISION_HEADER])
async def test_the_operators_pins_count_all_the_same(without_pins: TwoColors, name: str) -> None:
    async with grpc.aio.insecure_channel(f"unix:{without_pins.envoy.layout.calls_socket}") as channel:
        answer = await IntentServiceStub(channel).Classify(HELLO, metadata=(header(without_pins, name),), timeout=20)

    assert answer.model.revision == without_pins.revisions[GREEN]


async def test_a_port_that_others_would_share_is_not_taken_in_silence() -> None:
    address = free_address()
    with taken(address), envoy_at(address) as envoy:
        async with EnvoyAdmin(envoy.layout.admin_socket) as admin:
            refused = await admin.refused_listeners()
            with pytest.raises(ProxyProblem, match="Address already in use") as caught:
                await must_listen(admin, address)

    assert refused == {LISTENER: f"cannot bind '{address}': Address already in use"}
    assert address in str(caught.value)


async def test_nobody_can_share_the_port_of_envoy() -> None:
    address = free_address()
    with envoy_at(address) as envoy:
        async with EnvoyAdmin(envoy.layout.admin_socket) as admin:
            assert await admin.refused_listeners() == {}
            await must_listen(admin, address)
        for of in (address, envoy.config.metrics):
            assert of is not None
            with pytest.raises(OSError, match="in use"), taken(of):
                pass


async def test_an_address_where_nobody_listens_is_named() -> None:
    with envoy_at(free_address()) as envoy:
        elsewhere = free_address()
        async with EnvoyAdmin(envoy.layout.admin_socket) as admin:
            with pytest.raises(ProxyProblem, match=f"nobody listens on {elsewhere}"):
                await must_listen(admin, elsewhere)


def test_workers_take_connections_in_turns() -> None:
    address = free_address()
    host, _, port = address.rpartition(":")
    with envoy_at(address) as envoy, contextlib.ExitStack() as connections:
        for _ in range(_CONNECTIONS):
            connections.enter_context(socket.create_connection((host, int(port))))
        pattern = f"^listener[.]{re.escape(host)}_{port}[.]worker_[01][.]downstream_cx_active$"
        while sum((active := envoy.stats(pattern)).values()) < _CONNECTIONS:
            pass

    assert sorted(active.values()) == [_CONNECTIONS // 2, _CONNECTIONS // 2]
