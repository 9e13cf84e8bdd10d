"""Servers with two front ends each, behind the real Envoy: both get calls, and no call is lost by death or release."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import psutil
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from support.release_stack import Stack, finished, prepared, wait_serving
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

FRONT_ENDS = 2
CALLS, AT_ONCE = 1200, 8  # of 400 a fair choice gives one of two 44 % now and then
STREAMS = 4
COMMAND = [sys.executable, "-m", "support.together_process", "--step-ms", "2", "--batch", "64"]
NOT_ELSEWHERE = (14_000, 17_000)  # of no `free_address`
PLAN: dict[str, Any] = {
    "releasing": {
        "steps": [50, 100],
        "dwell": 0.2,
        "bake": 0.2,
        "poll": 0.1,
        "patience": 60.0,
        "stream_patience": 60.0,
        "thresholds": {"p99_least_ms": 5000},
    },
    "servers": {"command": COMMAND, "drain_delay": 0.3, "front_ends": FRONT_ENDS},
    # What is slow, on a busy machine, is neither bad nor ill.
    "traffic": {
        "timeout": 30,
        "per_try_timeout": 15,
        "health": {"interval": 0.1, "timeout": 10, "base_ejection_time": 0.5},
    },
}


def rooms(count: int) -> list[str]:
    """Addresses after each of which the ports of the front ends are free, too."""
    found: list[str] = []
    first = random.randrange(*NOT_ELSEWHERE)
    while len(found) < count:
        ports = range(first, first + 1 + FRONT_ENDS)
        if all(map(is_free, ports)):
            found.append(f"127.0.0.1:{first}")
        first = ports.stop
    return found


def is_free(port: int) -> bool:
    """Whether it can be listened on."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def plan() -> dict[str, Any]:
    """Of a stack, on ports that are free now."""
    return {**PLAN, "colors": {color.value: {"endpoints": [room]} for color, room in zip(Color, rooms(2), strict=True)}}


def own_ports(made: Stack, color: Color) -> list[int]:
    """Where the front ends of a color's server listen by themselves."""
    [endpoint] = made.document()["colors"][color.value]["endpoints"]
    first = int(endpoint.rpartition(":")[2]) + 1
    return [*range(first, first + FRONT_ENDS)]


@pytest.fixture(scope="module", autouse=True)
def refused() -> "Iterator[tuple[Stack, int, subprocess.Popen[str]]]":
    """A stack that cannot start, since a front end's port is taken. It waits for that while other tests run."""
    with prepared(**plan()) as down, socket.socket() as taken:
        port = own_ports(down, Color.BLUE)[1]
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield down, port, down.start("up", "--bundle", str(down.bundle("first")))


@pytest.fixture(scope="module")
def supervisors() -> "Iterator[list[subprocess.Popen[str]]]":
    """Those that a test has started; the last one runs."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def made(supervisors: "list[subprocess.Popen[str]]") -> Iterator[Stack]:
    """A stack that is up."""
    with prepared(**plan()) as made:
        supervisors.append(made.start("up", "--bundle", str(made.bundle("first"))))
        wait_serving(supervisors[-1], made)
        yield made


@pytest.fixture
async def admin(made: Stack) -> AsyncIterator[EnvoyAdmin]:
    """Envoy's."""
    async with EnvoyAdmin(Layout(made.run_dir).admin_socket) as admin:
        yield admin


def stable_of(made: Stack) -> Color:
    """The color that has the calls."""
    return Color(made.state["stable"])


async def all_healthy(admin: EnvoyAdmin, color: Color) -> None:
    """Returns once all front ends of a color are, to Envoy; a test's own timeout bounds the wait."""
    while (found := (await admin.hosts())[color]).healthy < FRONT_ENDS:  # noqa: ASYNC110  # Envoy has to be asked
        await asyncio.sleep(0.02)
    assert found.total == FRONT_ENDS


def called(made: Stack, color: Color) -> dict[int, int]:
    """How many requests Envoy has sent to each port of a color."""
    pipe = socket.socket(socket.AF_UNIX)
    with pipe, pipe.makefile("rwb") as wire:
        pipe.connect(str(Layout(made.run_dir).admin_socket))
        wire.write(b"GET /clusters HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n")
        wire.flush()
        lines = [line.decode().strip().split("::") for line in wire]
    return {int(line[1].rpartition(":")[2]): int(line[3]) for line in lines if line[::2] == [color.value, "rq_total"]}


def front_end_at(port: int) -> int:
    """The process that listens there."""
    [pid] = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }
    assert pid is not None
    return pid


async def test_both_get_calls(made: Stack, admin: EnvoyAdmin) -> None:
    color, turns = stable_of(made), asyncio.Semaphore(AT_ONCE)
    await all_healthy(admin, color)
    before = called(made, color)

    async with grpc.aio.insecure_channel(made.address) as channel:
        intents = IntentServiceStub(channel)

        async def call(number: int) -> str:
            async with turns:
                request = pb.ClassifyRequest(request_id=str(number), text="hello")
                return str((await intents.Classify(request, timeout=20)).request_id)

        answered = await asyncio.gather(*map(call, range(CALLS)))

    calls = {port: count - before[port] for port, count in called(made, color).items()}
    assert answered == [str(number) for number in range(CALLS)]
    assert sorted(calls) == own_ports(made, color)
    assert sum(calls.values()) == CALLS
    assert min(calls.values()) >= 0.45 * CALLS


async def test_one_that_is_killed_loses_no_call_and_is_replaced(made: Stack, admin: EnvoyAdmin) -> None:
    color = stable_of(made)
    await all_healthy(admin, color)
    server, port = made.observed()[f"{color}-0"], own_ports(made, color)[0]
    pid, load = front_end_at(port), RestartLoad(made.address, pause_s=0.0)
    async with load.running(callers=0, bare=16, streams=0, batches=0):
        await answers(load)
        os.kill(pid, signal.SIGKILL)
        while (await admin.hosts())[color].healthy == FRONT_ENDS:  # noqa: ASYNC110  # Envoy has to be asked
            await asyncio.sleep(0.01)
        await answers(load)
        await all_healthy(admin, color)
        await answers(load)

    assert load.failures == []
    assert front_end_at(port) != pid
    assert made.observed()[f"{color}-0"] == server


async def answers(load: RestartLoad) -> None:
    """Returns once more calls were answered."""
    before = load.answered["bare"]
    while load.answered["bare"] < before + 100:  # noqa: ASYNC110  # polled, as the load counts
        await asyncio.sleep(0.01)


async def test_the_next_supervisor_adopts_the_server_alone(
    made: Stack, admin: EnvoyAdmin, supervisors: "list[subprocess.Popen[str]]"
) -> None:
    color = stable_of(made)
    await all_healthy(admin, color)
    before = {name: (each["pid"], each["started_at"]) for name, each in made.observed().items() if each["pid"]}
    front_ends = [front_end_at(port) for port in own_ports(made, color)]
    supervisors[-1].kill()
    supervisors[-1].communicate()

    supervisors.append(made.start("up"))
    wait_serving(supervisors[-1], made)

    assert {name: (each["pid"], each["started_at"]) for name, each in made.observed().items() if each["pid"]} == before
    assert [front_end_at(port) for port in own_ports(made, color)] == front_ends


async def test_a_release_loses_no_call_and_no_item_of_a_stream(made: Stack, admin: EnvoyAdmin) -> None:
    old = stable_of(made)
    load = RestartLoad(made.address, pause_s=0.05)
    async with load.running(callers=2, bare=4, streams=STREAMS, batches=1):
        await load.wait_more_than(load.answered.copy())
        done = await asyncio.to_thread(made.run, "deploy", str(made.another()))
        assert done.code == 0, done.errors + made.logs()
        calls = called(made, old.other)
        await load.wait_more_than(load.answered.copy())
        back = await asyncio.to_thread(made.run, "rollback")
        await load.wait_more_than(load.answered.copy())

    assert load.failures == []
    assert (done.end["event"], back.code) == ("promoted", 0)
    assert sorted(calls) == own_ports(made, old.other)
    assert min(calls.values()) > 0
    assert done.event("ready")
    await all_healthy(admin, old.other)


def test_a_front_ends_port_that_is_taken_is_named(refused: "tuple[Stack, int, subprocess.Popen[str]]") -> None:
    stack, port, process = refused

    done = finished(process)

    assert done.code == 2
    assert f"cannot listen on 127.0.0.1:{port} (server blue-0, front end 1): Address already in use, by " in done.errors
    assert stack.processes() == []
