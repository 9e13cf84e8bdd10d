"""What must hold whatever a release does: nobody's call fails, only routes change, nobody is moved or cut off."""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.release_stack import Stack, stack
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

QUICK = ("--step-ms", "2", "--batch", "64")
HELLO = pb.ClassifyRequest(text="hello")


@pytest.fixture
def both() -> Iterator[Stack]:
    """A stack whose two colors run, with all traffic on blue."""
    with stack(*QUICK) as made:
        yield with_both(made)


def with_both(made: Stack) -> Stack:
    """Lets green run another bundle, without traffic."""
    done = made.run("deploy", str(made.bundle("second")), "--no-traffic=promote", "--fast")
    assert done.code == 0, done.errors
    assert made.run("rollback").code == 0
    return made


def pid_of(made: Stack, name: str) -> int:
    """Of a process that the supervisor runs."""
    pid: int = made.observed()[name]["pid"]
    return pid


@pytest.mark.parametrize("color", ["blue", "green"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
async def test_no_call_fails_when_a_color_ends_at_half_the_traffic(
    both: Stack, color: str, number: signal.Signals
) -> None:
    assert both.run("shift", "50").code == 0
    pid, load = pid_of(both, f"{color}-0"), RestartLoad(both.address)
    try:
        async with load.running(callers=6, bare=6, streams=0):
            await _answered(load, 50)
            os.kill(pid, number)
            await _answered(load, 300)
            await asyncio.sleep(1.5)
            await _answered(load, 50)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    assert load.failures == []


async def test_only_routes_change_and_always_by_rename(both: Stack) -> None:
    xds, over = both.run_dir / "xds", asyncio.Event()
    sums: set[int] = set()
    others = [both.run_dir / "bootstrap.json", xds / "lds" / "lds.json", xds / "cds" / "cds.json"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in others]
    inodes = {(xds / "rds" / "rds.json").stat().st_ino}

    async def watch() -> None:
        while not over.is_set():
            inodes.add((xds / "rds" / "rds.json").stat().st_ino)
            sums.update(_sums_of_weights(xds / "rds" / "rds.json"))
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    for percent in (5, 50, 95, 0):
        assert (await asyncio.to_thread(both.run, "shift", str(percent))).code == 0
    over.set()
    await watching

    assert sums == {100}
    assert len(inodes) > 1
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in others] == before
    assert [path.name for path in (xds / "rds").iterdir()] == ["rds.json"]


def _sums_of_weights(path: Path) -> Iterator[int]:
    for host in json.loads(path.read_text())["resources"][0]["virtual_hosts"]:
        for route in host["routes"]:
            if weighted := route.get("route", {}).get("weighted_clusters"):
                yield sum(cluster["weight"] for cluster in weighted["clusters"])


async def test_who_is_sticky_stays_while_the_canary_s_share_grows() -> None:
    with stack(*QUICK, traffic={"sticky_header": "x-user-id"}) as made:
        with_both(made)
        seen: dict[str, set[str]] = {f"user {number}": set() for number in range(200)}
        on_green: set[str] = set()
        async with grpc.aio.insecure_channel(made.address) as channel:
            for percent in (20, 60, 100):
                assert (await asyncio.to_thread(made.run, "shift", str(percent))).code == 0
                for user in seen:
                    seen[user] = {await _revision(channel, user) for _ in range(3)}
                assert all(len(revisions) == 1 for revisions in seen.values())
                green = json.loads((made.run_dir / "state.json").read_text())["slots"]["green"]["revision"]
                now = {user for user, revisions in seen.items() if revisions == {green}}
                assert on_green <= now
                on_green = now

    assert len(on_green) == len(seen)


async def _revision(channel: grpc.aio.Channel, user: str) -> str:
    answer = await IntentServiceStub(channel).Classify(HELLO, timeout=10, metadata=(("x-user-id", user),))
    revision: str = answer.model.revision
    return revision


async def test_a_few_calls_a_second_promote_nothing() -> None:
    with stack(*QUICK, releasing={"patience": 4.0}) as made:
        bundle = str(made.bundle("second"))
        async with grpc.aio.insecure_channel(made.address) as channel:
            deploy = asyncio.create_task(asyncio.to_thread(made.run, "deploy", bundle))
            while not deploy.done():
                await IntentServiceStub(channel).Classify(HELLO, timeout=10)
                await asyncio.sleep(0.2)
        done = await deploy

        assert done.code == 3, done.errors
        assert json.loads((made.run_dir / "state.json").read_text())["weights"] == {"blue": 100, "green": 0}
        assert "of 50 needed" in done.event("inconclusive")["text"]


async def test_what_is_used_is_not_drained() -> None:
    changes: dict[str, Any] = {
        "servers": {"max_wait": 5.0},
        "traffic": {"per_try_timeout": 20, "timeout": 20},
    }
    with stack(*QUICK, "--fault", "slow:4", "--faulty-bundle", "second", **changes) as made:
        with_both(made)
        async with grpc.aio.insecure_channel(made.address) as channel:
            assert made.run("shift", "100").code == 0
            refused = made.run("drain")
            call = asyncio.ensure_future(IntentServiceStub(channel).Classify(HELLO, timeout=20))
            await _under_way(made, "green")
            assert made.run("shift", "0").code == 0
            busy = made.run("drain")
            assert (await call).predictions
            idle = made.run("drain")

    assert (refused.code, busy.code, idle.code) == (2, 2, 0)
    assert "100 % of new calls" in refused.errors
    assert "under way" in busy.errors


async def _under_way(made: Stack, color: str) -> None:
    while not (await asyncio.to_thread(made.run, "status")).events[0]["colors"][color]["active"]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_a_crowd_of_calls_overflows_nothing() -> None:
    changes: dict[str, Any] = {
        "servers": {"max_wait": 15.0, "flags": ["--admin-address", "", "--max-in-flight", "4096"]},
        "traffic": {"per_try_timeout": 30, "timeout": 30},
    }
    with stack(*QUICK, **changes) as made:
        async with grpc.aio.insecure_channel(made.address) as channel:
            intents = IntentServiceStub(channel)
            calls = [intents.Classify(HELLO, timeout=60) for _ in range(1500)]
            codes = Counter([await call.code() for call in calls])
        status = made.run("status").events[0]

    assert codes == {grpc.StatusCode.OK: 1500}
    assert status["colors"]["blue"]["overflow"] == 0


async def test_a_release_closes_no_connection_and_sends_no_goaway() -> None:
    with stack(*QUICK) as made:
        bundle = str(made.bundle("second"))
        async with _watched_connection(made.address) as ended:
            done = await asyncio.to_thread(made.run, "deploy", bundle, "--no-traffic=promote")
            back = await asyncio.to_thread(made.run, "rollback")
            stopped = await asyncio.to_thread(made.run, "drain")

            assert (done.code, back.code, stopped.code) == (0, 0, 0)
            assert ended == []


@contextlib.asynccontextmanager
async def _watched_connection(address: str) -> AsyncIterator[list[str]]:
    """A bare HTTP/2 connection; yields what ended it, or announced its end."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    ended: list[str] = []

    async def follow() -> None:
        while data := await reader.read(65536):
            events = connection.receive_data(data)
            ended.extend(type(event).__name__ for event in events if isinstance(event, h2.events.ConnectionTerminated))
            writer.write(connection.data_to_send())
        ended.append("closed")

    writer.write(connection.data_to_send())
    following = asyncio.create_task(follow())
    try:
        yield ended
    finally:
        following.cancel()
        writer.close()


async def _answered(load: RestartLoad, more: int) -> None:
    """Returns once so many more calls were answered; a test's own timeout bounds the wait."""
    least = load.answered["bare"] + more
    while load.answered["bare"] < least:  # noqa: ASYNC110  # polled, so that counting stays simple
        await asyncio.sleep(0.01)
