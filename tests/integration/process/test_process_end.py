"""How a server with the real engine ends: when a process of it is killed, and in order by SIGTERM."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.engine.guard_script import MARK
from intently_server.engine.process_guard import GUARD_SCRIPT
from support.server_process import COMMAND, SMALL_ENGINE, ServerProcess, running_server
from support.wire import metadata_of, reason_of, rich_status

pytestmark = pytest.mark.engine

_ENDED_WITHIN_S = 30.0  # on a busy machine
_NEVER = ("--drain-delay", "600", "--drain-timeout", "600")  # an end by a drain would be no end
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
Record = Callable[[str, object], None]


def long_requests(count: int) -> list[pb.ClassifyRequest]:
    """Requests that together take the engine seconds: no text begins like another."""
    text = "please move what is left on my account to the other one " * 25
    return [pb.ClassifyRequest(text=f"{number} {text}", allow_truncation=True) for number in range(count)]


async def wait_ended(server: ServerProcess) -> int:
    """The exit code, once the process has ended; a test's own timeout bounds the wait."""
    while (code := server.process.poll()) is None:  # noqa: ASYNC110  # a child that was started without the loop
        await asyncio.sleep(0.005)
    return code


def has_mark(process: psutil.Process) -> bool:
    """Whether the guard can know it for one of the engine's, also where nobody has told it of that."""
    return f"{MARK}=".encode() in Path(f"/proc/{process.pid}/environ").read_bytes()


async def kill_guard(server: ServerProcess) -> None:
    """Returns once the server has started another; a test's own timeout bounds the wait."""
    dead = server.named(GUARD_SCRIPT.name)
    dead.kill()
    while True:
        with contextlib.suppress(ValueError):  # there is none
            if server.named(GUARD_SCRIPT.name) != dead:
                return
        await asyncio.sleep(0.05)


def left_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; Python's resource tracker takes a moment to see that its process has."""
    return psutil.wait_procs(processes, timeout=_ENDED_WITHIN_S)[1]


@pytest.mark.parametrize("part", ["EngineCore", "Worker"])
async def test_the_death_of_a_part_of_the_engine_ends_the_server(
    bundle_path: Path, tmp_path: Path, record_property: Record, part: str
) -> None:
    # As long a wait as it takes: the calls that keep the engine busy must not be refused as too many.
    with running_server(bundle_path, tmp_path, "--max-wait", "600", *_NEVER) as server:
        below = server.descendants()
        async with grpc.aio.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(READINESS)
            assert (await watch.read()).status == SERVING
            intents = IntentServiceStub(channel)
            calls = [asyncio.ensure_future(intents.Classify(request)) for request in long_requests(100)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

            killed = time.monotonic()
            server.named(part).kill()

            assert (await watch.read()).status == NOT_SERVING
            noticed = time.monotonic() - killed
            code = await wait_ended(server)
            ended = time.monotonic() - killed
            answers = await asyncio.gather(*calls, return_exceptions=True)

        record_property("noticed_s", noticed)
        record_property("ended_s", ended)
        assert code not in {0, None}
        assert left_of(below) == []
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    assert errors
    for error in errors:
        assert isinstance(error, grpc.aio.AioRpcError)
        # CANCELLED is what gRPC says to calls that no handler had begun when it stopped.
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    codes = [e for e in errors if isinstance(e, grpc.aio.AioRpcError) and e.code() is grpc.StatusCode.UNAVAILABLE]
    assert any(reason_of(rich_status(e)) == "ENGINE_DEAD" for e in codes if "grpc-status-details-bin" in metadata_of(e))


async def test_told_to_end_it_answers_what_is_in_flight_and_leaves_nothing_behind(
    bundle_path: Path, tmp_path: Path
) -> None:
    with running_server(bundle_path, tmp_path, "--max-batched-tokens", "512") as server:
        below = server.descendants()
        async with grpc.aio.insecure_channel(server.address) as channel:
            intents = IntentServiceStub(channel)
            request = pb.BatchClassifyRequest(requests=long_requests(60))
            batches = [asyncio.ensure_future(intents.BatchClassify(request)) for _ in range(4)]
            _, in_flight = await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)

            assert in_flight
            for process in below:  # as Ctrl-C does, which goes to all: the engine is needed until the last answer
                if os.getpgid(process.pid) == os.getpgid(server.process.pid):
                    process.send_signal(signal.SIGINT)
            server.process.send_signal(signal.SIGTERM)
            results = [result for batch in await asyncio.gather(*batches) for result in batch.results]

        assert [result.WhichOneof("result") for result in results] == ["response"] * 240
        assert await wait_ended(server) == 0
        assert left_of(below) == []
        assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.mark.parametrize("engines", [1, 2])
async def test_a_server_that_is_killed_leaves_nothing_behind(bundle_path: Path, tmp_path: Path, engines: int) -> None:
    with running_server(bundle_path, tmp_path, "--data-parallel-size", f"{engines}") as server:
        below = server.descendants()
        async with grpc.aio.insecure_channel(server.address) as channel:
            assert (await IntentServiceStub(channel).Classify(long_requests(1)[0])).predictions
        assert all(has_mark(each) for each in below if "VLLM" in " ".join(each.cmdline()))
        if engines == 1:
            await kill_guard(server)

        server.process.kill()

        assert await wait_ended(server) == -signal.SIGKILL
        assert left_of(below) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_told_to_end_or_killed_while_the_engine_starts_it_leaves_nothing_behind(
    bundle_path: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    log = tmp_path / "server.log"
    arguments = ["--bundle", str(bundle_path), "--address", "127.0.0.1:0", *SMALL_ENGINE]
    with log.open("wb") as output:
        process = subprocess.Popen([COMMAND, *arguments], stdout=output, stderr=output)
    server = ServerProcess(process, "", log)
    below: list[psutil.Process] = []
    while not any("spawn_main" in " ".join(each.cmdline()) for each in below):
        assert process.poll() is None, log.read_text(errors="replace")
        time.sleep(0.05)
        below = server.descendants()

    process.send_signal(number)

    assert process.wait(timeout=30) == code
    assert left_of(below) == []
    assert "SERVING" not in log.read_text(errors="replace")
