"""A release with the real vLLM on both colors, under load."""

import asyncio
import json

import pytest

from support.release_stack import finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.engine, pytest.mark.envoy]


PLAN = {
    "dwell": 1.0,
    "bake": 0.5,
    "steps": [50, 100],
    "patience": 60.0,
    "thresholds": {"p99_least_ms": 5000, "min_requests": 20},  # the second engine starts on the first one's cores
}


PATIENT = {"timeout": 30, "per_try_timeout": 20, "health": {"timeout": 8, "consecutive_local_origin_failures": 50}}


async def test_a_bundle_goes_live_on_vllm_and_nobody_notices() -> None:
    with stack(real_engine=True, releasing=PLAN, traffic=PATIENT, servers={"max_wait": 15.0}) as made:
        deploy, load = made.start("deploy", str(made.bundle("second"))), RestartLoad(made.address, pause_s=0.4)
        await asyncio.to_thread(wait_for, deploy, "ready")  # no load before: two cores start an engine, or serve
        async with load.running(callers=8, bare=8, streams=20, batches=2):
            done = await asyncio.to_thread(finished, deploy)
        weights = json.loads((made.run_dir / "state.json").read_text())["weights"]

        assert done.code == 0, f"{done.events} {done.errors} {made.logs()}"
        assert load.failures == []
        assert all(load.answered[kind] > 0 for kind in ("call", "bare", "item", "batch"))
        assert weights == {"blue": 0, "green": 100}
