"""What `status` tells of a stack: traffic, health, retries, streams, and all that Envoy did not take."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.commands.main import run
from intently_release.layout import Layout
from support.certificates import ServerFiles, issue, secure_channel
from support.release_stack import Stack, stack
from support.stream_caller import StreamCaller

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(90)]
CANARY = "second"
QUICK = ("--step-ms", "2", "--batch", "64", "--fault", "unavailable:0.2", "--faulty-bundle", CANARY)
REJECTED = ("routes_rejected", "clusters_rejected", "listeners_rejected", "certificates_rejected")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Of Envoy's certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def made(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with TLS whose both colors run; one of them sends a fifth of its calls away, and is not stable."""
    folder = tmp_path_factory.mktemp("tls")
    ServerFiles(folder).write(issue(authority))
    with stack(*QUICK, listener={"tls": {"folder": str(folder)}}) as made:
        assert made.run("deploy", str(made.bundle(CANARY)), "--fast", "--no-traffic=promote").code == 0
        assert made.run("rollback").code == 0
        yield made


def status(made: Stack) -> dict[str, Any]:
    """What `status` says."""
    done = made.run("status")
    assert done.code == 0, done.errors
    [document] = done.events
    return document


def printed(made: Stack, capsys: pytest.CaptureFixture[str]) -> str:
    """What it shows people."""
    assert run(["status", "--run-dir", str(made.run_dir)]) == 0
    return capsys.readouterr().out


def until(made: Stack, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What it says once that is so; a test's own timeout bounds the wait."""
    while not reached(document := status(made)):
        pass
    return document


@contextlib.asynccontextmanager
async def calling(intents: "IntentServiceAsyncStub") -> AsyncIterator[None]:
    """Calls go on, four at once, until the block ends."""

    async def calls() -> None:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await intents.Classify(pb.ClassifyRequest(text="hello"), timeout=10)
            await asyncio.sleep(0.01)

    callers = [asyncio.create_task(calls()) for _ in range(4)]
    try:
        yield
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)


async def test_traffic_health_retries_and_streams(made: Stack, authority: trustme.CA) -> None:
    async with secure_channel(made.address, authority) as channel:
        intents = IntentServiceStub(channel)
        stream = StreamCaller(intents)
        await stream.open()
        idle = await asyncio.to_thread(status, made)
        assert (await asyncio.to_thread(made.run, "shift", "50")).code == 0
        async with calling(intents):
            busy = await asyncio.to_thread(
                until, made, lambda told: bool(told["colors"]["green"]["retries"] and shares(told))
            )
        await stream.finish()
        assert (await asyncio.to_thread(made.run, "shift", "0")).code == 0

    assert {color: told["streams_open"] for color, told in idle["colors"].items()} == {"blue": 1, "green": 0}
    assert {color: told["active"] for color, told in idle["colors"].items()} == {"blue": 1, "green": 0}
    assert shares(idle) == []
    assert (idle["weights"], idle["stable"]) == ({"wanted": ALL_BLUE, "applied": ALL_BLUE}, "blue")
    assert busy["weights"] == {"wanted": HALF, "applied": HALF}
    assert sum(shares(busy)) == pytest.approx(1, abs=1e-3)
    assert all(0 < share < 1 for share in shares(busy))
    assert busy["colors"]["blue"]["retries"] == 0
    for told in (*idle["colors"].values(), *busy["colors"].values()):
        assert told["traffic"]["servers"] == 1
    assert [told["traffic"]["healthy"] for told in idle["colors"].values()] == [1, 1]


ALL_BLUE, HALF = {"blue": 100, "green": 0}, {"blue": 50, "green": 50}


def shares(document: dict[str, Any]) -> list[float]:
    """What each color got of the calls, where there were any."""
    return [told["share_observed"] for told in document["colors"].values() if told["share_observed"]]


def test_what_envoy_did_not_take_is_told(
    made: Stack, authority: trustme.CA, capsys: pytest.CaptureFixture[str]
) -> None:
    layout, tls = Layout(made.run_dir), Path(made.document()["listener"]["tls"]["folder"])
    before = status(made)
    assert {name: before[name] for name in REJECTED} == dict.fromkeys(REJECTED, 0)
    assert before["listeners_refused"] == {}
    assert "rejected" not in printed(made, capsys)

    (tls / "next").write_bytes(issue(authority).chain)
    (tls / "next").replace(tls / "tls.crt")  # whose key is not the one beside it
    mismatched = until(made, lambda document: bool(document["certificates_rejected"]))
    assert [mismatched[name] for name in REJECTED[:3]] == [0, 0, 0]
    assert "Envoy has rejected certificates 1 times" in printed(made, capsys)

    for kind in ("rds", "cds"):
        replaced(layout.xds(kind), "{")
    after = until(made, lambda document: bool(document["routes_rejected"] and document["clusters_rejected"]))
    assert after["weights"]["applied"] == ALL_BLUE
    shown = printed(made, capsys)
    assert "Envoy has rejected routes 1 times" in shown
    assert "Envoy has rejected clusters 1 times" in shown


def test_a_listener_that_envoy_cannot_open_is_told(made: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    file = Layout(made.run_dir).xds("lds")
    document = json.loads(file.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = next(each for each in document["resources"] if each["name"] == "intently")
        more = {**listener, "name": "more", "address": {"socket_address": at(taken)}}
        replaced(file, json.dumps({**document, "resources": [*document["resources"], more]}))
        refused = until(made, lambda told: bool(told["listeners_refused"]))

    assert list(refused["listeners_refused"]) == ["more"]
    assert refused["listeners_rejected"] == 1
    assert "Envoy does not take calls at its listener more" in printed(made, capsys)


def at(taken: socket.socket) -> dict[str, object]:
    """Where a socket listens, as Envoy writes it."""
    host, port = taken.getsockname()
    return {"address": host, "port_value": port}


def replaced(file: Path, text: str) -> None:
    """Replaces one of Envoy's files as it must be: by a rename."""
    partial = file.parent.parent / "partial" / "a-test"
    partial.write_text(text)
    partial.replace(file)
