"""Deploys bundles that are ill, each in its own way, under load, and counts what callers saw of it.

    python tests/bench/bad_canaries.py [--only internal:0.05 ...] [--rate 300]

The load is that of the design, by `intently bench`: 300 single calls a second, evenly spread, half by gRPC alone, which
retries nothing, and 200 items a second on 20 streams of the client library. The plan is the default one. Faults: see
support/faulty_engine.py. Prints JSON, and a line a canary on standard error; exits with 1 if a canary did not end as it
should, if callers saw more failures than the design's prototype let through, or if they could not send all that they
were to. As half of the calls is retried, a failure that a retry heals is seen by the other half alone.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_release.config import Releasing
from support.release_load import Rates, ReleaseLoad
from support.release_stack import Done, Stack, stack

HEALTHY = "healthy"
CANARY = "second"
_PLAN = {**Releasing().model_dump(mode="json"), "bake": 5.0}  # the default one, but for the long bake
_ITEMS_PER_S = 200.0
_PROMOTED, _ABORTED = 0, 1  # exit codes of deploy


@dataclass(frozen=True, slots=True)
class Bound:
    """What the design measured of such a canary.

    Attributes:
        failures: That callers saw.
        of: Calls in all; None where it does not say.
        seconds: Until it was aborted; None where it does not say.
    """

    failures: int
    of: int | None = None
    seconds: float | None = None


BOUNDS = {
    HEALTHY: Bound(0, 28_794),
    "internal:0.05": Bound(6, 7_799, 5.5),
    "internal": Bound(20, None, 1.0),
    "unavailable": Bound(0, None, 0.5),
    "slow:0.06": Bound(0, None, 3.5),
    "crash:0.02": Bound(0, None, 0.5),
    "hang:0.02": Bound(0, 3_599),  # of the table of colors that die
    "never-starts": Bound(0, None, 0.5),
}


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    results = [_run(case, options) for case in options.only]
    good = all(all(result["verdict"].values()) for result in results)
    sys.stdout.write(json.dumps({"rate": options.rate, "canaries": results, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _run(case: str, options: argparse.Namespace) -> dict[str, Any]:
    flags = () if case == HEALTHY else ("--fault", case, "--faulty-bundle", CANARY)
    plan = {**_PLAN, "thresholds": {**_PLAN["thresholds"], "p99_least_ms": options.p99_least_ms}}
    with stack("--step-ms", "2", "--batch", "64", *flags, releasing=plan) as made:
        result = {"canary": case, **uvloop.run(_deploy(made, case, options))}
    sys.stderr.write(f"{json.dumps(result)}\n")
    return result


async def _deploy(made: Stack, case: str, options: argparse.Namespace) -> dict[str, Any]:
    bundle, half = str(made.bundle(CANARY)), options.rate / 2
    load = ReleaseLoad(made.address, Rates(bare=half, calls=half, items=_ITEMS_PER_S))
    async with load.running():
        done = await asyncio.to_thread(made.run, "deploy", bundle)
        await asyncio.sleep(1.0)
    answered, failed, bound = load.answered, load.failed, BOUNDS.get(case)
    all_on = "green" if case == HEALTHY else "blue"
    return {
        **_told(done),
        "calls": answered["call"] + answered["bare"] + failed,
        "items": answered["item"],
        "failed": failed,
        "failures": load.failures,
        "design": bound and {"failed": bound.failures, "of": bound.of, "seconds": bound.seconds},
        "verdict": {
            "ended_as_it_should": done.code == (_PROMOTED if case == HEALTHY else _ABORTED),
            "traffic_is_where_it_should_be": made.state["weights"][all_on] == 100,
            "failures": bound is not None and failed <= bound.failures,
            "calls_kept_up": load.kept_up,
        },
    }


def _told(done: Done) -> dict[str, Any]:
    """How it ended; seconds are from the first share of traffic, or from the beginning if it got none."""
    end = done.end
    began = next((e for e in done.events if e["event"] == "shifted"), done.events[0] if done.events else end)
    return {
        "code": done.code,
        "ended": end.get("event", done.errors[-300:]),
        "seconds": round(end["at_s"] - began["at_s"], 2) if end else None,
        "share": max((e["percent"] for e in done.events if e["event"] == "shifted"), default=0),
        "reasons": end.get("reasons", []),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(BOUNDS),
        metavar="FAULT",
        help="one that the design has not measured is never good (default: all that it has)",
    )
    parser.add_argument("--rate", type=float, default=300.0, help="single calls a second (default: %(default)g)")
    parser.add_argument("--p99-least-ms", type=float, default=20.0, help="threshold (default: %(default)g)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
