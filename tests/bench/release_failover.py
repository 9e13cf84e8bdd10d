"""Ends a color at half the traffic, by every signal, and counts the calls that fail.

    python tests/bench/release_failover.py [--seconds 8] [--rate 300]

The load is `intently bench`: single calls, half by gRPC alone, which retries nothing, and 20 streams of the client
library. A color that gets SIGSTOP hangs until the end of its run. Prints JSON, and a line a run on standard error;
exits with 1 if a call failed, an item was lost or answered twice, or if there were too few to tell.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.release_load import Rates, ReleaseLoad
from support.release_stack import Stack, stack

CALLS = 2_000  # of a run; the design's had 2,099 to 3,599
ITEMS = 1_000  # likewise
_SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load in each run (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=300.0, help="single calls a second (default: %(default)g)")
    parser.add_argument("--items", type=float, default=200.0, help="a second, on all streams (default: %(default)g)")
    parser.add_argument("--least-calls", type=int, default=CALLS, help="of each run (default: %(default)s)")
    parser.add_argument("--least-items", type=int, default=ITEMS, help="of each run (default: %(default)s)")
    options = parser.parse_args()
    runs = [_run(number, color, options) for number in _SIGNALS for color in ("blue", "green")]
    good = all(
        run["failed"] == 0 and run["calls"] >= options.least_calls and run["items"] >= options.least_items
        for run in runs
    )
    sys.stdout.write(json.dumps({"runs": runs, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _run(number: signal.Signals, color: str, options: argparse.Namespace) -> dict[str, Any]:
    with stack("--step-ms", "2", "--batch", "64") as made:
        for command in (("deploy", str(made.bundle("second")), "--no-traffic=promote", "--fast"), ("shift", "50")):
            if (done := made.run(*command)).code:
                raise RuntimeError(done.errors)
        run = {"signal": number.name, "color": color, **uvloop.run(_loaded(made, number, color, options))}
    sys.stderr.write(f"{json.dumps(run)}\n")
    return run


async def _loaded(made: Stack, number: signal.Signals, color: str, options: argparse.Namespace) -> dict[str, Any]:
    pid, half = made.observed()[f"{color}-0"]["pid"], options.rate / 2
    load = ReleaseLoad(made.address, Rates(bare=half, calls=half, items=options.items))
    try:
        async with load.running():
            await asyncio.sleep(options.seconds / 4)
            os.kill(pid, number)
            await asyncio.sleep(options.seconds * 3 / 4)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    answered = load.answered
    return {
        "calls": answered["bare"] + answered["call"] + load.failed,
        "items": answered["item"],
        "failed": load.failed,
        "failures": load.failures,
        "slowest_ms": {kind: round(run.report["total"]["latency"]["max"] * 1e3) for kind, run in load.measured.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
