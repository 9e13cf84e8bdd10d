"""Deploys a healthy bundle where hardly anybody calls, and sees that nothing is promoted that nobody can judge.

    python tests/bench/release_quiet.py [--rates 0 5] [--patience 120]

The calls are those of `intently bench`, evenly spread, and nothing is retried. The plan is the default one, and so are
its thresholds. Prints JSON, and how it goes on standard error; exits with 1 if a deploy ended in anything but
"inconclusive", with all traffic where it was, all calls sent that were to be, and none failed.
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

from intently_release.config import Releasing
from support.release_load import Rates, ReleaseLoad
from support.release_stack import Stack, finished, stack

_INCONCLUSIVE = 3  # exit code of deploy
_TOLD_EVERY_S = 10.0


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
    bundle, load = str(made.another()), ReleaseLoad(made.address, Rates(bare=rate))
    async with load.running():
        began = time.monotonic()
        deploy = made.start("deploy", bundle, *(["--fast"] if options.fast else []))
        ending = asyncio.create_task(asyncio.to_thread(finished, deploy))
        while not (await asyncio.wait([ending], timeout=_TOLD_EVERY_S))[0]:
            sys.stderr.write(f"{rate:g} calls/s: {time.monotonic() - began:.0f} s\n")
        done, seconds = await ending, time.monotonic() - began
    end = done.end
    return {
        "code": done.code,
        "ended": end.get("event", done.errors[-300:]),
        "seconds": round(seconds, 1),
        "share": max((event["percent"] for event in done.events if event["event"] == "shifted"), default=0),
        "reasons": end.get("reasons", []),
        "calls": load.answered["bare"] + load.failed,
        "failures": load.failures,
        "verdict": {
            "inconclusive": done.code == _INCONCLUSIVE,
            "traffic_is_where_it_was": made.state["weights"] == {"blue": 100, "green": 0},
            "no_failure": not load.failed,
            "calls_kept_up": load.kept_up,
        },
    }


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
