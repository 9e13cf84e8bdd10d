"""intently-release status."""

import argparse
import asyncio
import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.errors import ProxyProblem
from intently_release.judge.figures import Figures, read_figures
from intently_release.judge.window import Window, between
from intently_release.proxy.admin import Applied, EnvoyAdmin
from intently_release.release.judging import view_of
from intently_release.state import State, read_observed
from intently_release.supervise.replaced import WITHHELD, replaced
from intently_release.xds.names import ROUTES, STAT_PREFIX
from intently_release.xds.tls import AUTHORITIES, CERTIFICATE

_OVER_S = 1.0  # what is told of traffic is of this long
_REJECTED = {  # counts of what Envoy was given and did not take, since its start
    "routes": rf"^http\.{STAT_PREFIX}\.rds\.{ROUTES}\.update_(rejected|failure)$",
    "clusters": r"^cluster_manager\.cds\.update_(rejected|failure)$",
    "listeners": r"^listener_manager\.lds\.update_(rejected|failure)$",
    # Of a pair whose key is another certificate's, the third.
    "certificates": rf"^sds\.({CERTIFICATE}|{AUTHORITIES})\.(update_rejected|update_failure|key_rotation_failed)$",
}


@dataclass(frozen=True, slots=True)
class _Now:
    """What Envoy says at this moment; None where it says nothing."""

    applied: Applied | None
    figures: Mapping[Color, Figures]
    windows: Mapping[Color, Window]
    calls: Mapping[Color, int]
    rejected: Mapping[str, int]
    refused: Mapping[str, str]
    problem: str


async def status(desk: Desk, options: argparse.Namespace) -> int:
    """Shows what is wanted and what is; returns the exit code.

    Raises:
        StateProblem: if the state cannot be read.
    """
    state, now = desk.store.read(), await _ask(desk)
    if options.json:
        sys.stdout.write(json.dumps(_document(desk, state, now), default=str) + "\n")
    else:
        _print(desk, state, now)
    return 0


async def _ask(desk: Desk) -> _Now:
    async with EnvoyAdmin(desk.layout.admin_socket) as admin:
        try:
            before = await read_figures(admin)
            await asyncio.sleep(_OVER_S)
            after = await read_figures(admin)
            counts = await admin.stats("|".join(_REJECTED.values()))
            rejected = {what: _sum(counts, pattern) for what, pattern in _REJECTED.items()}
            windows = {color: between(before.get(color), after.get(color)) for color in Color}
            calls = await admin.calls_under_way()
            refused = await admin.refused_listeners()
            return _Now(await admin.applied(), after, windows, calls, rejected, refused, "")
        except ProxyProblem as problem:
            return _Now(None, {}, {}, {}, {}, {}, str(problem))


def _sum(counts: Mapping[str, int], pattern: str) -> int:
    return sum(count for name, count in counts.items() if re.search(pattern, name))


def _document(desk: Desk, state: State | None, now: _Now) -> dict[str, Any]:
    seen, holder = read_observed(desk.layout), desk.store.holder()
    return {
        "stable": state and state.stable,
        "weights": {"wanted": state and state.weights, "applied": now.applied and now.applied.weights},
        "release": state and state.release and state.release.model_dump(mode="json"),
        "colors": {color: _color(color, state, now) for color in Color},
        **{f"{what}_rejected": now.rejected.get(what) for what in _REJECTED},
        "listeners_refused": now.refused,
        "processes": {name: each.model_dump(mode="json") for name, each in seen.items()},
        "busy": holder and str(holder),
        "problem": now.problem,
    }


def _color(color: Color, state: State | None, now: _Now) -> dict[str, Any]:
    slot = state and state.slots[color]
    window, figures, calls = now.windows.get(color), now.figures.get(color), now.calls.get(color)
    all_calls = sum(each.calls for each in now.windows.values())
    return {
        "bundle": slot and slot.bundle,
        "revision": slot and slot.revision,
        "wanted": slot and slot.wanted,
        "bundle_problem": slot and replaced(slot.bundle, slot.revision),
        "share_observed": window and all_calls and round(window.calls / all_calls, 4),
        "traffic": window and dataclasses.asdict(view_of(window)),
        "retries": figures and figures.retries,
        "overflow": figures and figures.overflow,
        "ejected": figures and figures.ejected,
        "active": figures and figures.active,
        "streams_open": figures and calls is not None and max(0, figures.active - calls),
    }


def _print(desk: Desk, state: State | None, now: _Now) -> None:
    console, document = Console(markup=False, emoji=False, soft_wrap=True), _document(desk, state, now)
    if state is None:
        console.print("nothing runs here yet: intently-release up --bundle DIR")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("color", "revision", "weight", "seen", "calls/s", "p99 ms", "healthy", "retries", "streams"):
        table.add_column(column, justify="left" if column in {"color", "revision"} else "right", no_wrap=True)
    applied = (now.applied.weights if now.applied else None) or {}
    for color in Color:
        told = document["colors"][color]
        traffic = told["traffic"] or {}
        weight = f"{state.weights[color]} %"
        if applied and applied[color] != state.weights[color]:
            weight += f" (Envoy: {applied[color]} %)"
        cells = (told["share_observed"], traffic.get("per_s"), traffic.get("p99_ms"))
        table.add_row(
            f"{color}{' *' * (color is state.stable)}",
            (told["revision"] or "-")[:12] if told["wanted"] == "running" else "stopped",
            weight,
            *("-" if cell is None else f"{cell:g}" for cell in cells),
            f"{traffic['healthy']}/{traffic['servers']}" if traffic else "-",
            *("-" if told[key] is None else str(told[key]) for key in ("retries", "streams_open")),
        )
    console.print(table)
    console.print(f"* stable; traffic of the last {_OVER_S:g} s")
    _print_remarks(console, document)


def _print_remarks(console: Console, document: Mapping[str, Any]) -> None:
    if document["release"]:
        release = document["release"]
        console.print(f"release {release['id']} to {release['canary']}: {release['phase']}")
        if not document["busy"]:
            bundle = document["colors"][release["canary"]]["bundle"]
            console.print(
                f"  interrupted: `intently-release deploy {bundle}` goes on, `intently-release abort` ends it"
            )
    if document["busy"]:
        console.print(f"busy: {document['busy']}")
    for what in _REJECTED:
        if times := document[f"{what}_rejected"]:
            console.print(f"Envoy has rejected {what} {times} times, and went on with those that it had; see its log")
    for name, reason in document["listeners_refused"].items():
        console.print(f"Envoy does not take calls at its listener {name} as it was told: {reason}")
    for name, process in document["processes"].items():
        if process["pid"] is None and process["last_exit"].startswith(WITHHELD):
            console.print(f"{name}: {process['last_exit']}")
        elif process["restarts"]:
            console.print(f"{name} died {process['restarts']} times; last: {process['last_exit']}")
    for color, told in document["colors"].items():
        if told["wanted"] == "running" and told["bundle_problem"]:
            console.print(f"{color} would not be started again: {told['bundle_problem']}")
    if document["problem"]:
        console.print(document["problem"])
