"""Attacks a server in every way that the tests know, but more, and tells what each attack did to others.

    python tests/bench/hostile.py [--times 5] [--rounds 3] [--only NAME ...]

Each attack is --times as large as in the tests, so of cancelled calls there are 10,000. It goes on for --rounds to fill
the pools that allocators keep, and then for as many again. All the while `intently bench` sends ordinary calls, and a
caller that knows the answers is timed before, meanwhile and afterwards. Prints a line for each attack on standard
error, and JSON; exits with 1 if the memory of one grew by a tenth in those rounds, or by more than a quarter and 32 MiB
since before the first, anything was held or logged as a fault, or another caller was not answered, waited long
meanwhile or longer afterwards.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_server.bundle import load_bundle
from support.hostile.attack import Attack
from support.hostile.catalogue import ATTACKS
from support.hostile.normal import normal_caller
from support.hostile.ordeal import Aftermath, Ordeal
from support.in_memory_server import in_memory_server
from support.load import Load, Measured
from support.paths import BUNDLE

_RSS_GROWTH = 0.1
_SLOWER, _SLOWER_S = 1.5, 0.001  # than the median before: what still counts as normal on a machine that others use
_SLOWER_P99, _SLOWER_P99_S = 2.0, 0.02  # the same of the 99th percentile, which one pause of the machine moves
_DURING_P99_S = 2.0  # while an attack lasts, which shares two cores with its server
_FROM_COLD, _FROM_COLD_BYTES = 0.25, 32 * 2**20
_CALLS = 200
_ORDINARY = ("--rate", "20", "--timeout", "10s")


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    attacks = [attack for attack in ATTACKS if not options.only or attack.name in options.only]
    with tempfile.TemporaryDirectory() as folder, in_memory_server(Path(folder)) as server:
        ordeal = Ordeal(server, normal_caller(load_bundle(BUNDLE).model, server.address), _CALLS)
        results = uvloop.run(_all(server.address, ordeal, attacks, options))
        alive = server.process.poll() is None
    good = alive and all(result["good"] for result in results.values())
    sys.stdout.write(json.dumps({"attacks": results, "alive_at_the_end": alive, "good": good}, indent=1) + "\n")
    return 0 if good else 1


async def _all(address: str, ordeal: Ordeal, attacks: list[Attack], options: argparse.Namespace) -> dict[str, Any]:
    results = {}
    for attack in attacks:
        times, load = attack.times * options.times, Load(address, None, _ORDINARY)
        await asyncio.to_thread(load.wait_begun)
        try:
            result = _result(await ordeal.go_through(attack, times, warm_ups=options.rounds, rounds=options.rounds))
        except (AssertionError, grpc.aio.AioRpcError) as error:
            result = {"good": False, "error": str(error)[:500]}
        load.stop()
        ordinary = _ordinary(await asyncio.to_thread(load.result))
        good = result.pop("good") and ordinary["good"]
        results[attack.name] = {"times": times, **result, "ordinary_calls": ordinary, "good": good}
        sys.stderr.write(f"{attack.name}: {json.dumps(results[attack.name])}\n")
    return results


def _ordinary(run: Measured) -> dict[str, Any]:
    return {
        "by_status": run.by_status,
        "failures": run.failures,
        "p50_p99_ms": [round(run.p50 * 1e3, 1), round(run.p99 * 1e3, 1)],
        "good": not run.failures and run.p99 <= _DURING_P99_S,
    }


def _result(aftermath: Aftermath) -> dict[str, Any]:
    calm, during, afterwards = aftermath.calm, aftermath.during, aftermath.afterwards
    normal = (
        afterwards.p50 <= _SLOWER * calm.p50 + _SLOWER_S
        and afterwards.p99 <= _SLOWER_P99 * calm.p99 + _SLOWER_P99_S
        and during.p99 <= _DURING_P99_S
    )
    cold = aftermath.cold.rss
    small = aftermath.growth < _RSS_GROWTH and aftermath.after.rss - cold < _FROM_COLD * cold + _FROM_COLD_BYTES
    return {
        "rss_mib": {
            name: round(inside.rss / 2**20, 1)
            for name, inside in (("cold", aftermath.cold), ("before", aftermath.before), ("after", aftermath.after))
        },
        "growth": round(aftermath.growth, 4),
        "growth_from_cold": round(aftermath.growth_from_cold, 4),
        "p50_p99_ms": {
            name: [round(each.p50 * 1e3, 1), round(each.p99 * 1e3, 1)]
            for name, each in (("calm", calm), ("during", during), ("afterwards", afterwards))
        },
        "errors": aftermath.errors[:5],
        "latency_is_normal": normal,
        "good": small and not aftermath.errors and normal,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[attack.name for attack in ATTACKS], default=[])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
