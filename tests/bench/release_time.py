"""Times one release as it is by default: vLLM on this machine, two revisions of the mini bundle, a light load.

    python tests/bench/release_time.py [--rate 20] [--items 5] [--fast]

Servers and Envoy are those of envoy/local.yaml, which `make run` uses; steps, dwell, bake and thresholds are the
default ones. The load is `intently bench`: single calls by gRPC alone, which retries nothing, and items on streams of
the client library. Prints JSON; exits with 1 if the bundle was not promoted, if a call failed, if an item was lost or
answered twice, or if not all was sent that was to be. The seconds of each phase are from the event that begins it until
the next one.
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

from intently_release.config import read_config
from support.paths import ROOT
from support.release_load import Rates, ReleaseLoad
from support.release_stack import Stack, stack

_LOCAL = ROOT / "envoy" / "local.yaml"


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    local = read_config(_LOCAL).model_dump(mode="json", include={"servers", "traffic", "releasing"})
    with stack(real_engine=True, **local) as made:
        report = uvloop.run(_deploy(made, options))
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


async def _deploy(made: Stack, options: argparse.Namespace) -> dict[str, Any]:
    bundle, flags = str(made.another()), ["--fast"] if options.fast else []
    load = ReleaseLoad(made.address, Rates(bare=options.rate, items=options.items, streams=options.streams))
    async with load.running():
        began = time.monotonic()
        done = await asyncio.to_thread(made.run, "deploy", bundle, *flags)
        seconds = time.monotonic() - began
    end, answered = done.end, load.answered
    verdict = {"promoted": done.code == 0, "none_failed_lost_or_doubled": not load.failed}
    verdict["calls_kept_up"] = load.kept_up
    return {
        "fast": options.fast,
        "code": done.code,
        "ended": end.get("event", done.errors[-500:]),
        "reasons": end.get("reasons", []),
        "seconds": round(seconds, 1),
        "phases_s": done.phases(),
        "calls": answered["bare"],
        "items": answered["item"],
        "failures": load.failures,
        "failures_in_all": load.failed,
        "load": load.brief(),
        "verdict": verdict,
        "good": all(verdict.values()),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20.0, help="single calls a second (default: %(default)g)")
    parser.add_argument("--items", type=float, default=5.0, help="a second, on all streams (default: %(default)g)")
    parser.add_argument("--streams", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--fast", action="store_true", help="deploy --fast")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
