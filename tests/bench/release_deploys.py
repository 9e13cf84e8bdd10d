"""Deploys again and again under load, through real Envoy, and counts what that cost callers.

    python tests/bench/release_deploys.py [--deploys 10] [--rate 450] [--streams 20] [--fast] [--old-color stop]

The load is `intently bench`: single calls, half by gRPC alone, which retries nothing; batches; and long-lived streams
of the client library. Beside it a few callers watch which color answers. Prints JSON, and a line a deploy on standard
error; exits with 1 if the verdict is not good: each deploy promoted, no call failed, no item lost or answered twice,
enough of both, no stream left behind on the old color, and

    decision to all new traffic    1 s at most: from the last step's verdict until the last call was sent that the old
                                   color answered, and Envoy had applied the routes
    SERVING to all new traffic     5 s at most, with --fast: from when the server said so
    rollback                       1 s at most, where the old color is kept: at the end, from when the command is given
                                   until the color that it leaves has answered its last call
"""

import argparse
import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_release.colors import Color
from intently_release.layout import Layout
from support.release_load import Rates, ReleaseLoad
from support.release_stack import Done, Stack, stack
from support.restart_load import RestartLoad

DECISION_S = 1.0
FAST_S = 5.0
ROLLBACK_S = 1.0
CALLS = 50_000
ITEMS = 20_000
_RATES = {"rate": 450.0, "items": 250.0, "batches": 5.0}
_REAL_RATES = {"rate": 40.0, "items": 20.0, "batches": 0.5}  # two engines of a thread each, on two cores
_OR_NONE = "with --fast or --real-engine 0"
_WATCHERS = {"callers": 2, "bare": 2, "streams": 1, "batches": 0}
_PAUSE_S = 0.02  # of each; what they tell is as exact as this by their number
_DRAINED_WITHIN_S = 60.0
_SHOWN = 20


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    plan: dict[str, Any] = {"dwell": options.dwell, "bake": options.bake, "steps": options.steps, "patience": 60.0}
    plan |= {"thresholds": {"p99_least_ms": options.p99_least_ms}, "old_color": options.old_color}
    with stack("--step-ms", "2", "--batch", "64", real_engine=options.real_engine, releasing=plan) as made:
        report = uvloop.run(_deploys(made, options))
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


async def _deploys(made: Stack, options: argparse.Namespace) -> dict[str, Any]:
    load, watch, deploys = ReleaseLoad(made.address, _rates(options)), RestartLoad(made.address, _PAUSE_S), []
    async with load.running(), watch.running(**_WATCHERS):
        began = time.monotonic()
        await watch.wait_more_than(watch.answered.copy())
        for _ in range(options.deploys):
            deploys.append(await _deploy(made, watch, options))
            sys.stderr.write(f"{json.dumps(deploys[-1])} {len(watch.failures)} failures watched\n")
        rollback = await _rollback(made, watch) if options.old_color == "keep" else None
        if options.old_color == "stop":
            await _drained(made)
        seconds = time.monotonic() - began
    answered = load.answered + watch.answered
    calls, failed = answered["call"] + answered["bare"], load.failed + len(watch.failures)
    per_s = sum(load.measured[kind].goodput for kind in ("bare", "call") if kind in load.measured)
    per_s += (watch.answered["call"] + watch.answered["bare"]) / seconds
    verdict = _verdict(deploys, rollback, options) | {
        "none_failed_lost_or_doubled": not failed,
        "enough_calls": calls >= options.least_calls,
        "enough_items": answered["item"] >= options.least_items,
        "calls_kept_up": load.kept_up,
    }
    return {
        "old_color": options.old_color,
        "fast": options.fast,
        "seconds": round(seconds, 1),
        "calls": calls,
        "items": answered["item"],
        "batches": answered["batch"],
        "calls_per_s": round(per_s, 1),
        "failures": load.failures + watch.failures[:_SHOWN],
        "failures_in_all": failed,
        "load": load.brief(),
        "watched": dict(watch.answered),
        "deploys": deploys,
        "decision_to_all_traffic_s": _most(deploys, "decision_to_all_traffic_s"),
        "serving_to_all_traffic_s": _most(deploys, "serving_to_all_traffic_s"),
        "rollback": rollback,
        "verdict": verdict,
        "good": all(verdict.values()),
    }


def _rates(options: argparse.Namespace) -> Rates:
    half = options.rate / 2
    return Rates(bare=half, calls=half, batches=options.batches, items=options.items, streams=options.streams)


def _verdict(
    deploys: list[dict[str, Any]], rollback: dict[str, Any] | None, options: argparse.Namespace
) -> dict[str, bool]:
    """What the deploys themselves have shown."""
    verdict = {
        "all_promoted": all(deploy["code"] == 0 for deploy in deploys),
        "decision_to_all_traffic": _within(deploys, "decision_to_all_traffic_s", DECISION_S),
    }
    if options.fast:
        verdict["serving_to_all_traffic"] = _within(deploys, "serving_to_all_traffic_s", FAST_S)
    if options.old_color == "keep":
        verdict["streams_have_moved"] = all(deploy.get("streams_left_on_the_old_color") == 0 for deploy in deploys)
    if rollback is not None:
        verdict["rollback"] = _within([rollback], "rollback_s", ROLLBACK_S)
    return verdict


def _most(deploys: list[dict[str, Any]], what: str) -> float | None:
    return max((deploy[what] for deploy in deploys if what in deploy), default=None)


def _within(deploys: list[dict[str, Any]], what: str, most_s: float) -> bool:
    """Whether each deploy has told this time, and it was not over that."""
    return all(what in deploy and deploy[what] <= most_s for deploy in deploys)


async def _deploy(made: Stack, watch: RestartLoad, options: argparse.Namespace) -> dict[str, Any]:
    before, bundle = made.state, str(made.another())
    old = Color(before["stable"])
    done = await asyncio.to_thread(made.run, "deploy", bundle, *(["--fast"] if options.fast else []))
    await watch.wait_more_than(watch.answered.copy())
    told = _told(done)
    if done.code == 0:
        last_on_old = watch.last_sent[before["slots"][old]["revision"]]
        serving_at = Layout(made.run_dir).ready(old.other, 0).stat().st_mtime
        told |= _times(done.events, last_on_old, serving_at)
    return told


async def _rollback(made: Stack, watch: RestartLoad) -> dict[str, Any]:
    """Takes the last release back. Its seconds are missing if that is refused."""
    before, began = made.state, time.monotonic()
    left = before["slots"][before["stable"]]["revision"]
    done = await asyncio.to_thread(made.run, "rollback")
    seconds = time.monotonic() - began
    await watch.wait_more_than(watch.answered.copy())
    told: dict[str, Any] = {"code": done.code, "command_s": round(seconds, 3)}
    if done.code:
        return told | {"error": done.errors[-500:]}
    told["applied_s"] = done.events[0]["applied_s"]  # of it, from the decision on: the rest is the command's own start
    return told | {"rollback_s": round(watch.last_answered[left] - began, 3)}


async def _drained(made: Stack) -> None:
    """Returns once the old color of the last release has ended, so that all of its drain is under load.

    Raises:
        TimeoutError: if it does not.
    """
    old = Color(made.state["stable"]).other
    async with asyncio.timeout(_DRAINED_WITHIN_S):
        while made.observed()[f"{old}-0"]["pid"] is not None:  # noqa: ASYNC110  # another process ends it
            await asyncio.sleep(_PAUSE_S)


def _times(events: list[dict[str, Any]], last_on_old: float, serving_at: float) -> dict[str, Any]:
    """Of a release that was promoted, in seconds.

    Args:
        events: What it told.
        last_on_old: When the last call was sent that the old color answered, in monotonic seconds.
        serving_at: When the server said that it is SERVING, in seconds since the epoch.
    """
    at = {event["event"]: event["at_s"] for event in events}  # of each kind the last
    shifts = [number for number, event in enumerate(events) if event["event"] == "shifted"]
    last, decided_at = events[shifts[-1]], events[shifts[-1] - 1]["at_s"]
    all_new_at = max(last["at_s"], last_on_old)
    serving_s_before = datetime.fromisoformat(last["at"]).timestamp() - serving_at
    return {
        "seconds": round(at["promoted"] - at["started"], 2),
        "decision_to_all_traffic_s": round(all_new_at - decided_at, 3),
        "serving_to_all_traffic_s": round(all_new_at - last["at_s"] + serving_s_before, 2),
        "shift_applied_s": [events[number]["applied_s"] for number in shifts],
    }


def _told(done: Done) -> dict[str, Any]:
    """How a deploy ended."""
    ended = done.end
    told: dict[str, Any] = {"code": done.code, "ended": ended.get("event", done.errors[-500:])}
    left = [event["open"] for event in done.events if event["event"] == "moved"]
    told |= {"streams_left_on_the_old_color": left[-1]} if left else {}
    return told | ({"reasons": ended["reasons"]} if "reasons" in ended else {})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deploys", type=int, default=10)
    for name, what in (
        ("rate", "single calls a second"),
        ("items", "a second, on all streams"),
        ("batches", "of eight, a second"),
    ):
        default = f"{_RATES[name]:g}; with --real-engine {_REAL_RATES[name]:g}"
        parser.add_argument(f"--{name}", type=float, help=f"{what} (default: {default})")
    parser.add_argument("--streams", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--fast", action="store_true", help="deploy --fast")
    parser.add_argument("--old-color", choices=("keep", "stop"), default="keep", help="after a release")
    parser.add_argument("--least-calls", type=int, help=f"to be answered (default: {CALLS}; {_OR_NONE})")
    parser.add_argument("--least-items", type=int, help=f"of streams (default: {ITEMS}; {_OR_NONE})")
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
    options = parser.parse_args()
    few = options.fast or options.real_engine  # ten deploys are over before so many were sent
    least = {"least_calls": 0 if few else CALLS, "least_items": 0 if few else ITEMS}
    for name, value in {**least, **(_REAL_RATES if options.real_engine else _RATES)}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
