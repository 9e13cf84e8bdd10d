"""What waits in Envoy: servers are told since when, and callers cannot tell them anything else."""

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import grpc
import pytest

from intently.v1 import model_service_pb2 as model_pb
from intently.v1.model_service_pb2_grpc import ModelServiceStub
from intently_release.colors import Color, all_to
from support.judged_colors import HELLO, calling, judged_colors
from support.paced_engine import Pace
from support.wire import reason_of, rich_status

if TYPE_CHECKING:
    from intently.v1 import intent_service_pb2 as pb

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
STEP_S = 0.3


async def how_it_ended(call: "grpc.aio.UnaryUnaryCall[pb.ClassifyRequest, pb.ClassifyResponse]") -> str:
    """OK, or the status, or the reason where the server gave one."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        told = dict(error.trailing_metadata() or ())
        return reason_of(rich_status(error)) if "grpc-status-details-bin" in told else error.code().name
    return "OK"


async def test_a_server_refuses_the_call_whose_deadline_comes_too_soon_after_its_wait() -> None:
    pace = Pace(step_s=STEP_S, batch=1)
    with judged_colors(all_to(Color.BLUE), pace=pace, max_concurrent_streams=2) as colors:
        async with calling(colors.envoy) as caller:
            assert await how_it_ended(caller.intents.Classify(HELLO, timeout=20)) == "OK"

            # The third comes to the server after a step, when a second is under way: too late for its caller.
            deadlines = [20.0, 20.0, 1.75 * STEP_S, 20.0]
            calls = [caller.intents.Classify(HELLO, timeout=deadline) for deadline in deadlines]
            ended = Counter(await asyncio.gather(*(how_it_ended(call) for call in calls)))

    assert ended == {"OK": 3, "DEADLINE_UNMEETABLE": 1}


@pytest.mark.parametrize("deadline_s", [0.001, STEP_S / 3, 1.5 * STEP_S])
async def test_deadlines_that_one_caller_makes_too_short_take_no_server_out(deadline_s: float) -> None:
    with judged_colors(all_to(Color.BLUE), pace=Pace(step_s=STEP_S, batch=1)) as colors:
        async with calling(colors.envoy) as caller:
            assert await how_it_ended(caller.intents.Classify(HELLO, timeout=20)) == "OK"
            for _ in range(3):
                hurried = [how_it_ended(caller.intents.Classify(HELLO, timeout=deadline_s)) for _ in range(30)]
                assert {"DEADLINE_EXCEEDED", "DEADLINE_UNMEETABLE"} & {*await asyncio.gather(*hurried)}

            assert await how_it_ended(caller.intents.Classify(HELLO, timeout=20)) == "OK"
        assert not any(colors.envoy.stats("ejections_enforced_total").values())


async def test_what_a_caller_says_of_a_wait_harms_nobody() -> None:
    with judged_colors(all_to(Color.BLUE), pace=Pace(step_s=STEP_S, batch=64)) as colors:
        async with calling(colors.envoy) as caller, grpc.aio.insecure_channel(colors.envoy.address) as channel:
            models = ModelServiceStub(channel)
            calls = [caller.intents.Classify(HELLO, timeout=20)]  # keeps the connection to the server in use
            for ahead_s in (-3000, 3000):
                lie = (("x-request-start", f"t={time.time() + ahead_s:.3f}"), ("x-intently-timeout", "1n"))
                told = (*lie, ("x-envoy-attempt-count", "1"))
                assert (await models.ListModels(model_pb.ListModelsRequest(), metadata=told, timeout=20)).models
                calls.append(caller.intents.Classify(HELLO, metadata=told, timeout=20))
                calls.append(caller.intents.Classify(HELLO, metadata=told))
                calls.append(caller.intents.Classify(HELLO, timeout=20))
            ended = Counter(await asyncio.gather(*(how_it_ended(call) for call in calls)))

    assert ended == {"OK": 7}
