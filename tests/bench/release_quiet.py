"""Deploys a healthy bundle where hardly anybody calls, and sees that nothing is promoted that nobody can judge.

    python tests/bench/release_quiet.py [--rates 0 5] [--patience 120]

The plan is the default one, and so are its thresholds. Prints JSON, and how it goes on standard error; exits with 1 if
a deploy ended in anything but "inconclusive", with all traffic where it was and no call failed.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.config import Releasing
from support.release_stack import Stack, finished, stack

_INCONCLUSIVE = 3  # exit code of deploy
_TOLD_EVERY_S = 10.0
_NO_RETRIES = [("grpc.enable_retries", 0)]


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    results = [_run(rate, options) for rate in options.rates]
    good = all(all(result["verdict"].values()) for result in results)
    sys.stdout.write(json.dumps({"deploys": results, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _run(rate: float, options: argparse.Namespace) -> dict[str, Any]:
    plan = Releasing(patience=options.patience).model_dump(mode="json")
    with stack("--step-ms", "2", "--batch", "64", releasing=plan) as made:
        result = {"calls_per_s": rate, **uvloop.run(_deploy(made, rate, options))}
    sys.stderr.write(f"{json.dumps(result)}\n")
    return result


async def _deploy(made: Stack, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    began, bundle = time.monotonic(), str(made.another())
    async with _calling(made.address, rate) as failures:
        deploy = made.start("deploy", bundle, *(["--fast"] if options.fast else []))
        ending = asyncio.create_task(asyncio.to_thread(finished, deploy))
        while not (await asyncio.wait([ending], timeout=_TOLD_EVERY_S))[0]:
            sys.stderr.write(f"{rate:g} calls/s: {time.monotonic() - began:.0f} s\n")
        done = await ending
    end = done.events[-1] if done.events else {}
    return {
        "code": done.code,
        "ended": end.get("event", done.errors[-300:]),
        "seconds": round(time.monotonic() - began, 1),
        "share": max((event["percent"] for event in done.events if event["event"] == "shifted"), default=0),
        "reasons": end.get("reasons", []),
        "failures": failures[:3],
        "verdict": {
            "inconclusive": done.code == _INCONCLUSIVE,
            "traffic_is_where_it_was": made.state["weights"] == {"blue": 100, "green": 0},
            "no_failure": not failures,
        },
    }


@contextlib.asynccontextmanager
async def _calling(address: str, rate: float) -> AsyncIterator[list[str]]:
    """Calls so many times a second, on the second's fractions, until the block ends; yields what failed so far."""
    failures: list[str] = []

    async def call(intents: Any) -> None:
        try:
            await intents.Classify(pb.ClassifyRequest(text="hello"), timeout=10)
        except grpc.aio.AioRpcError as error:
            failures.append(f"{error.code().name} {error.details()}")

    async def go_on() -> None:
        began, number = time.monotonic(), 0
        async with grpc.aio.insecure_channel(address, options=_NO_RETRIES) as channel, asyncio.TaskGroup() as calls:
            intents = IntentServiceStub(channel)
            while not over.is_set():
                number += 1
                calls.create_task(call(intents))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), max(0.0, began + number / rate - time.monotonic()))

    over = asyncio.Event()
    going = asyncio.create_task(go_on()) if rate > 0 else None
    try:
        yield failures
    finally:
        over.set()
        if going is not None:
            await going


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 5.0], help="calls a second (default: 0 and 5)")
    parser.add_argument(
        "--patience", type=float, default=Releasing().patience, help="seconds (default: %(default)g, that of a release)"
    )
    parser.add_argument("--fast", action="store_true", help="deploy --fast")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
