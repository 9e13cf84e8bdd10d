"""Deploys again and again under load, through real Envoy, and counts what that cost callers.

    python tests/bench/release_deploys.py [--deploys 10] [--callers 12] [--streams 20] [--fast]

The load is calls, batches and long-lived streams of the client library, and calls by gRPC alone, which retries nothing.
Prints JSON; exits with 1 if a call failed, an item was lost or answered twice, or a deploy did not promote.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.release_stack import Done, Stack, stack
from support.restart_load import RestartLoad

_SHOWN = 20


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    plan: dict[str, Any] = {"dwell": options.dwell, "bake": options.bake, "steps": options.steps, "patience": 60.0}
    plan["thresholds"] = {"p99_least_ms": options.p99_least_ms}
    with stack("--step-ms", "2", "--batch", "64", real_engine=options.real_engine, releasing=plan) as made:
        report = uvloop.run(_deploys(made, options))
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


async def _deploys(made: Stack, options: argparse.Namespace) -> dict[str, Any]:
    bundles = [made.folder / "first", made.bundle("second")]
    load, deploys = RestartLoad(made.address), []
    began = time.monotonic()
    numbers = {"callers": options.callers, "bare": options.callers, "streams": options.streams}
    async with load.running(**numbers, batches=options.batches):
        await load.wait_more_than(load.answered.copy())
        for number in range(options.deploys):
            bundle = bundles[(number + 1) % 2]
            arguments = ["deploy", str(bundle), *(["--fast"] if options.fast else [])]
            deploys.append(_told(await asyncio.to_thread(made.run, *arguments)))
            sys.stderr.write(f"{json.dumps(deploys[-1])} {dict(load.answered)} {len(load.failures)} failed\n")
    seconds = time.monotonic() - began
    answered = dict(load.answered)
    good = not load.failures and all(deploy["code"] == 0 for deploy in deploys)
    return {
        "seconds": round(seconds, 1),
        "calls": answered.get("call", 0) + answered.get("bare", 0),
        "items": answered.get("item", 0),
        "batches": answered.get("batch", 0),
        "calls_per_s": round((answered.get("call", 0) + answered.get("bare", 0)) / seconds, 1),
        "failures": load.failures[:_SHOWN],
        "failures_in_all": len(load.failures),
        "deploys": deploys,
        "good": good,
    }


def _told(done: Done) -> dict[str, Any]:
    """What a deploy said of itself: its times in seconds."""
    shifts = [event for event in done.events if event.get("event") == "shifted"]
    at = {
        event["event"]: event["at_s"] for event in done.events if event.get("event") in {"started", "ready", "promoted"}
    }
    ended = done.events[-1] if done.events else {}
    told: dict[str, Any] = {"code": done.code, "ended": ended.get("event", done.errors[-500:])}
    if "reasons" in ended:
        told["reasons"] = ended["reasons"]
    if {"started", "promoted"} <= at.keys() and shifts:
        told["seconds"] = round(at["promoted"] - at["started"], 2)
        told["serving_to_all_traffic_s"] = round(shifts[-1]["at_s"] - at["ready"], 2)
        told["shift_applied_s"] = [event["applied_s"] for event in shifts]
    return told


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deploys", type=int, default=10)
    parser.add_argument("--callers", type=int, default=12, help="of the library, and as many by gRPC alone")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--batches", type=int, default=2, help="callers that send batches of eight")
    parser.add_argument("--fast", action="store_true", help="deploy --fast")
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 25, 50, 100])
    parser.add_argument("--dwell", type=float, default=2.0)
    parser.add_argument("--bake", type=float, default=1.0)
    parser.add_argument(
        "--p99-least-ms",
        type=float,
        default=2000.0,
        help="threshold; where callers, Envoy and servers share two cores, one of them waits for another now and then "
        "(default: %(default)s)",
    )
    parser.add_argument("--real-engine", action="store_true", help="vLLM in place of the engine in memory")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
