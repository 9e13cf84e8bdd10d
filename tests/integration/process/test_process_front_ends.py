"""Two front ends that share the real engine: both answer as it does, and its death ends all of them."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.admin_caller import metrics
from support.server_process import running_server
from support.together import connections, health, own_addresses
from support.wire import metadata_of, reason_of, rich_status

pytestmark = pytest.mark.engine

_ENDED_WITHIN_S = 30.0  # on a busy machine
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
LONG = "please move what is left on my account to the other one " * 25


async def test_both_answer_and_hear_of_the_engines_death(bundle_path: Path, bundle: Bundle, tmp_path: Path) -> None:
    flags = ["--front-ends", "2", "--front-end-port", own_addresses()[0].rpartition(":")[2]]
    # As long a wait as it takes: the calls that keep the engine busy must not be refused. An end by a drain were none.
    flags += ["--max-wait", "600", "--drain-delay", "600", "--drain-timeout", "600"]
    with running_server(bundle_path, tmp_path, *flags) as server:
        below = server.descendants()
        async with contextlib.AsyncExitStack() as stack:
            own = json.loads((tmp_path / "ready.json").read_text())["front_ends"]
            stubs = [(await stack.enter_async_context(connections(address)))[0] for address in own]
            answers = [
                await stub.Classify(pb.ClassifyRequest(text=golden.text, top_k=1))
                for stub in stubs
                for golden in bundle.model.golden_vectors[:4]
            ]
            assert [answer.predictions for answer in answers[:4]] == [answer.predictions for answer in answers[4:]]
            assert (await metrics(server.admin)).sum("vllm:request_success_total") >= len(answers)

            # As Ctrl-C and `kill -USR1 %1` do, which go to all: here to those who are not to obey.
            for process in below:
                together = os.getpgid(process.pid) == os.getpgid(server.process.pid)
                if together and "resource_tracker" not in " ".join(process.cmdline()):
                    process.send_signal(signal.SIGUSR1)
                    process.send_signal(signal.SIGINT)
            watches = [(await stack.enter_async_context(health(address))).Watch(READINESS) for address in own]
            assert [(await watch.read()).status for watch in watches] == [SERVING] * 2
            calls = [
                asyncio.ensure_future(stub.Classify(pb.ClassifyRequest(text=f"{number} {LONG}", allow_truncation=True)))
                for number in range(50)
                for stub in stubs
            ]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

            server.named("EngineCore").kill()

            assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 2
            ended = await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.to_thread(server.process.wait, _ENDED_WITHIN_S) == 1
        assert psutil.wait_procs(below, timeout=_ENDED_WITHIN_S)[1] == []
    errors = [each for each in ended if isinstance(each, grpc.aio.AioRpcError)]
    assert errors
    # CANCELLED is what gRPC says to calls that no handler had begun when it stopped.
    assert {error.code() for error in errors} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    told = [error for error in errors if "grpc-status-details-bin" in metadata_of(error)]
    assert {reason_of(rich_status(error)) for error in told} == {"ENGINE_DEAD"}
