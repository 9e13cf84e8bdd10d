"""Deploys bundles that are ill, each in its own way, under load, and counts what callers saw of it.

    python tests/bench/bad_canaries.py [--only internal:0.05 ...] [--callers 8]

The load is calls by gRPC alone, which retries nothing, and by the client library. Faults: see support/faulty_engine.py.
Prints JSON; exits with 1 if a bad bundle was promoted, or a good one was not.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.release_stack import Done, Stack, stack
from support.restart_load import RestartLoad

HEALTHY = "healthy"
CASES = (HEALTHY, "internal:0.05", "internal", "unavailable", "slow:0.06", "crash:0.02", "hang:0.02", "never-starts")
CANARY = "second"
_PLAN = {"steps": [5, 25, 50, 100], "dwell": 3.0, "bake": 2.0, "patience": 30.0}
_SHOWN = 3


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    results = {case: _run(case, options) for case in options.only}
    good = all((result["code"] == 0) == (case == HEALTHY) for case, result in results.items())
    sys.stdout.write(json.dumps({"canaries": results, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _run(case: str, options: argparse.Namespace) -> dict[str, Any]:
    flags = () if case == HEALTHY else ("--fault", case, "--faulty-bundle", CANARY)
    plan = {**_PLAN, "thresholds": {"p99_least_ms": options.p99_least_ms}}
    with stack("--step-ms", "2", "--batch", "64", *flags, releasing=plan) as made:
        result = uvloop.run(_deploy(made, options))
    sys.stderr.write(f"{case}: {json.dumps(result)}\n")
    return result


async def _deploy(made: Stack, options: argparse.Namespace) -> dict[str, Any]:
    bundle, load = str(made.bundle(CANARY)), RestartLoad(made.address)
    async with load.running(callers=options.callers, bare=options.callers, streams=0, batches=0):
        await asyncio.sleep(1.0)
        done = await asyncio.to_thread(made.run, "deploy", bundle)
        await asyncio.sleep(1.0)
    return {
        **_told(done),
        "calls": load.answered.total() + len(load.failures),
        "failed": len(load.failures),
        "first_failures": load.failures[:_SHOWN],
    }


def _told(done: Done) -> dict[str, Any]:
    """How it ended; seconds are from the first share of traffic, or from the beginning if it got none."""
    end = done.events[-1] if done.events else {}
    began = next((e for e in done.events if e["event"] == "shifted"), done.events[0] if done.events else end)
    return {
        "code": done.code,
        "verdict": end.get("event", done.errors[-300:]),
        "seconds": round(end["at_s"] - began["at_s"], 2) if end else None,
        "share": max((e["percent"] for e in done.events if e["event"] == "shifted"), default=0),
        "reasons": end.get("reasons", []),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(CASES), metavar="FAULT")
    parser.add_argument("--callers", type=int, default=4, help="by gRPC alone, and as many by the library")
    parser.add_argument("--p99-least-ms", type=float, default=20.0, help="threshold (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
