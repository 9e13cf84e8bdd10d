"""Several servers behind each color, through the real Envoy: all get calls, and the color keeps its own."""

import contextlib
from collections import Counter
from pathlib import Path

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from support.envoy_process import EnvoyProcess, run_folder, running_envoy
from support.in_memory_server import in_memory_server
from support.serving import free_address
from support.two_colors import BUNDLES

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
CALLS = 60


def configured(folder: Path, blue: list[str], green: list[str]) -> ReleaseConfig:
    """All new calls go to blue."""
    return ReleaseConfig.model_validate(
        {
            "run_dir": folder / "run",
            "metrics": None,
            "listener": {"address": free_address()},
            "colors": {"blue": {"endpoints": blue}, "green": {"endpoints": green}},
        }
    )


async def call(envoy: EnvoyProcess) -> Counter[str]:
    """Revisions that answered so many calls."""
    async with grpc.aio.insecure_channel(envoy.address) as channel:
        intents = IntentServiceStub(channel)
        answers = [await intents.Classify(pb.ClassifyRequest(text="hello"), timeout=20) for _ in range(CALLS)]
    return Counter(answer.model.revision for answer in answers)


def wait_healthy(envoy: EnvoyProcess, color: Color, servers: int) -> None:
    """Returns once so many of its servers are; a test's own timeout bounds the wait."""
    name = f"cluster.{color}.membership_healthy"
    while envoy.stats(name)[name] != servers:
        pass


async def test_all_servers_of_a_color_get_calls() -> None:
    with run_folder() as folder, contextlib.ExitStack() as stack:
        blue = [stack.enter_context(in_memory_server(folder, name=name)).address for name in ("a", "b")]
        config = configured(folder, blue, [free_address()])
        envoy = stack.enter_context(running_envoy(config, folder / "run"))
        wait_healthy(envoy, Color.BLUE, 2)
        await call(envoy)
        lines = [line.split("::") for line in envoy.ask("/clusters")[1].splitlines()]

    calls = {line[1]: int(line[3]) for line in lines if line[0] == Color.BLUE and line[2] == "rq_total"}
    assert set(calls) == set(blue)
    assert min(calls.values()) > CALLS // 6


async def test_a_color_keeps_its_calls_while_one_of_its_servers_is_well() -> None:
    with run_folder() as folder, contextlib.ExitStack() as stack:
        blue, green = (
            stack.enter_context(in_memory_server(folder, name=color, bundle=BUNDLES[color])) for color in Color
        )
        config = configured(folder, [blue.address, free_address(), free_address()], [green.address])
        envoy = stack.enter_context(running_envoy(config, folder / "run"))
        for color in Color:
            wait_healthy(envoy, color, 1)
        before = await call(envoy)
        blue.process.kill()
        after = await call(envoy)

    assert len(before) == 1
    assert len(after) == 1
    assert before != after
