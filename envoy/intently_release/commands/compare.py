"""intently-release compare."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.commands.disagreement import print_mirrored, print_replayed
from intently_release.commands.mirroring import watched
from intently_release.commands.replaying import STANDARD, replayed
from intently_release.compare.mirrored import MirroredReport
from intently_release.compare.report import Report
from intently_release.errors import Refused
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.state.state import State

NOTHING_COMPARED = 3


async def compare(desk: Desk, options: argparse.Namespace) -> int:
    """Tells how often the colors answer differently; returns the exit code.

    Raises:
        Refused: if there is nothing to compare by, or a color does not run.
        ProxyProblem: if Envoy cannot be asked.
    """
    _must_make_sense(options)
    state = await _both_serve(desk)
    if options.mirrored is not None:
        bound = await watched(desk, state, options.mirrored)
        if options.json != STANDARD:
            print_mirrored(bound, Console())
        _write(bound, options.json)
        return 0 if bound.both_at_least else NOTHING_COMPARED
    report = await replayed(desk, options, state.stable)
    if options.json != STANDARD:
        print_replayed(report, Console())
    _write(report, options.json)
    return 0 if report.compared else NOTHING_COMPARED


def _must_make_sense(options: argparse.Namespace) -> None:
    if (options.utterances is None) == (options.mirrored is None):
        raise Refused("name either a file of utterances to replay (- for standard input), or --mirrored")
    if _would_overwrite(options.json, options.utterances):
        raise Refused(f"--json {options.json} would overwrite the utterances")


def _would_overwrite(target: str | None, utterances: str | None) -> bool:
    """Whether the report would be written where the utterances are."""
    if target is None or utterances is None or STANDARD in (target, utterances):
        return False
    return Path(target).exists() and Path(utterances).exists() and Path(target).samefile(utterances)


async def _both_serve(desk: Desk) -> State:
    """What is wanted; both colors have servers that Envoy holds for healthy."""
    state = desk.store.read()
    if state is None:
        raise Refused("nothing runs here yet: intently-release up --bundle DIR")
    async with EnvoyAdmin(desk.layout.admin_socket) as admin:
        hosts = await admin.hosts()
    for color in (state.stable, state.stable.other):
        if color not in hosts or not hosts[color].healthy:
            raise Refused(_not_there(color, state))
    return state


def _not_there(color: Color, state: State) -> str:
    if state.slots[color].wanted != "running":
        return f"{color} does not run, and it takes two to compare: `intently-release deploy BUNDLE` starts it"
    return f"Envoy holds no server of {color} for healthy: see `intently-release status`"


def _write(report: Report | MirroredReport, target: str | None) -> None:
    """The whole report as JSON: one line on standard output, indented in a file."""
    document = dataclasses.asdict(report)
    if target == STANDARD:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    elif target is not None:
        try:
            Path(target).write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise Refused(f"cannot write the report to {target}: {error.strerror}") from error
