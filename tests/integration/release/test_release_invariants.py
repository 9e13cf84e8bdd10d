"""What must hold whatever a release does: nobody's call fails, only routes change, nobody is moved or cut off."""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color, all_to
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from support.release_stack import Stack, stack
from support.restart_load import RestartLoad
from support.watched_connection import watched_connection

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

QUICK = ("--step-ms", "2", "--batch", "64")
STREAMS = 8
HELLO = pb.ClassifyRequest(text="hello")
SLOW = "slow"  # a bundle whose answers take seconds
PATIENT: dict[str, Any] = {
    "servers": {"max_wait": 15.0, "drain_delay": 2.6, "flags": ["--admin-address", "", "--max-in-flight", "4096"]},
    "traffic": {
        "per_try_timeout": 30,
        "timeout": 30,
        "sticky_header": "x-user-id",
        "health": {"timeout": 5, "unhealthy_threshold": 5},  # a crowd on a busy machine makes nobody ill
    },
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """A stack that tests share which need no other: starting one takes seconds."""
    with stack(*QUICK, releasing={"patience": 6.0}) as made:
        yield made


@pytest.fixture(scope="module")
def patient() -> Iterator[Stack]:
    """Another, whose calls may take long, and whose callers are told apart."""
    with stack(*QUICK, "--fault", "slow:8", "--faulty-bundle", SLOW, **PATIENT) as made:
        yield made


@pytest.fixture
def both(shared: Stack) -> Stack:
    """The shared stack: both of its colors are healthy, and all traffic is on the stable one."""
    shared.settle()
    if not asyncio.run(healthy(shared, within_s=30.0)):
        with_both(shared, shared.another())
        assert asyncio.run(healthy(shared, within_s=30.0))
    return shared


def with_both(made: Stack, bundle: Path) -> None:
    """Lets the other color run a bundle, without traffic."""
    done = made.run("deploy", str(bundle), "--no-traffic=promote", "--fast")
    assert done.code == 0, done.errors
    assert made.run("rollback").code == 0


async def healthy(made: Stack, within_s: float) -> bool:
    """Whether Envoy holds all servers of both colors for healthy, soon; at once where one shall not run."""
    if not all(slot["wanted"] == "running" for slot in made.state["slots"].values()):
        return False
    async with EnvoyAdmin(Layout(made.run_dir).admin_socket) as admin, asyncio.timeout(within_s):
        while not all(hosts.healthy == hosts.total for hosts in (await admin.hosts()).values()):  # noqa: ASYNC110  # Envoy has to be asked
            await asyncio.sleep(0.1)
    return True


def stable_of(made: Stack) -> Color:
    """The color that is stable now."""
    return Color(made.state["stable"])


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


async def test_streams_of_a_color_that_hangs_go_on_with_the_other_one(both: Stack) -> None:
    stable, load = stable_of(both), RestartLoad(both.address)
    revisions = {color: slot["revision"] for color, slot in both.state["slots"].items()}
    pid = pid_of(both, f"{stable}-0")
    try:
        async with load.running(callers=2, bare=2, streams=STREAMS):
            await _all_on(load, revisions[stable])
            os.kill(pid, signal.SIGSTOP)
            await _all_on(load, revisions[stable.other])
            os.kill(pid, signal.SIGCONT)  # what it answers now, it answers to nobody
            await load.wait_more_than(load.answered.copy())
    finally:
        os.kill(pid, signal.SIGCONT)

    assert load.failures == []


async def _all_on(load: RestartLoad, revision: str) -> None:
    """Returns once this revision answered the last item of each stream.

    Raises:
        TimeoutError: if it does not come to that.
    """
    async with asyncio.timeout(30.0):
        while [*load.on.values()] != [revision] * STREAMS:  # noqa: ASYNC110  # polled, so that counting stays simple
            await asyncio.sleep(0.01)


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


async def test_who_is_sticky_stays_while_the_canary_s_share_grows(patient: Stack) -> None:
    await asyncio.to_thread(with_both, patient, patient.another())
    canary = stable_of(patient).other
    revision = patient.state["slots"][canary]["revision"]
    seen: dict[str, set[str]] = {f"user {number}": set() for number in range(200)}
    on_canary: set[str] = set()
    async with grpc.aio.insecure_channel(patient.address) as channel:
        for percent in (20, 60, 100):
            assert (await asyncio.to_thread(patient.run, "shift", str(percent))).code == 0
            seen = dict(zip(seen, await asyncio.gather(*(_revisions(channel, user) for user in seen)), strict=True))
            assert all(len(revisions) == 1 for revisions in seen.values())
            now = {user for user, revisions in seen.items() if revisions == {revision}}
            assert on_canary <= now
            on_canary = now
    patient.settle()

    assert len(on_canary) == len(seen)


async def _revisions(channel: grpc.aio.Channel, user: str) -> set[str]:
    """Those that answered three calls of a user, one after the other."""
    intents, metadata = IntentServiceStub(channel), (("x-user-id", user),)
    return {(await intents.Classify(HELLO, timeout=30, metadata=metadata)).model.revision for _ in range(3)}


async def test_a_few_calls_a_second_promote_nothing(both: Stack) -> None:
    before, bundle = stable_of(both), str(both.another())
    with both.releasing(patience=2.0):
        async with grpc.aio.insecure_channel(both.address) as channel:
            deploy = asyncio.create_task(asyncio.to_thread(both.run, "deploy", bundle))
            while not deploy.done():
                await IntentServiceStub(channel).Classify(HELLO, timeout=10)
                await asyncio.sleep(0.2)
        done = await deploy

    assert done.code == 3, done.errors
    assert both.state["weights"] == all_to(before)
    assert "of 50 needed" in done.event("inconclusive")["text"]


async def test_what_is_used_is_not_drained(patient: Stack) -> None:
    patient.settle()
    await asyncio.to_thread(with_both, patient, patient.bundle(SLOW))
    canary = stable_of(patient).other
    async with grpc.aio.insecure_channel(patient.address) as channel:
        assert patient.run("shift", "100").code == 0
        refused = patient.run("drain")
        call = asyncio.ensure_future(IntentServiceStub(channel).Classify(HELLO, timeout=20))
        await _under_way(patient, canary)
        assert patient.run("shift", "0").code == 0
        busy = patient.run("drain")
        assert (await call).predictions
        idle = patient.run("drain")

    assert (refused.code, busy.code, idle.code) == (2, 2, 0)
    assert "100 % of new calls" in refused.errors
    assert "under way" in busy.errors


async def _under_way(made: Stack, color: Color) -> None:
    """Returns once a call to it is; a test's own timeout bounds the wait."""
    name = f"cluster.{color}.upstream_rq_active"
    async with EnvoyAdmin(Layout(made.run_dir).admin_socket) as admin:
        while not (await admin.stats(f"^{name}$"))[name]:  # noqa: ASYNC110  # Envoy has to be asked
            await asyncio.sleep(0.05)


async def test_a_crowd_of_calls_overflows_nothing(patient: Stack) -> None:
    patient.settle()
    async with grpc.aio.insecure_channel(patient.address) as channel:
        intents = IntentServiceStub(channel)
        calls = [intents.Classify(HELLO, timeout=60) for _ in range(1500)]
        codes = Counter([await call.code() for call in calls])
    status = patient.run("status").events[0]

    assert codes == {grpc.StatusCode.OK: 1500}
    assert status["colors"][stable_of(patient)]["overflow"] == 0


async def test_a_release_closes_no_connection_and_sends_no_goaway(both: Stack) -> None:
    async with watched_connection(both.address) as connection:
        done = await asyncio.to_thread(both.run, "deploy", str(both.another()))
        back = await asyncio.to_thread(both.run, "rollback")
        stopped = await asyncio.to_thread(both.run, "drain")

        assert (done.code, back.code, stopped.code) == (0, 0, 0), done.errors + back.errors + stopped.errors
        assert connection.ended == []
    assert set(connection.statuses) == {"0"}
    assert connection.statuses["0"] > 100


async def _answered(load: RestartLoad, more: int) -> None:
    """Returns once so many more calls were answered; a test's own timeout bounds the wait."""
    least = load.answered["bare"] + more
    while load.answered["bare"] < least:  # noqa: ASYNC110  # polled, so that counting stays simple
        await asyncio.sleep(0.01)
