"""intently-release render."""

import argparse
import asyncio
import json
import sys

from intently_release.colors import Color, all_to
from intently_release.commands.desk import Desk
from intently_release.release.shifting import revisions
from intently_release.xds.publish import publish
from intently_release.xds.snapshot import render


async def render_files(desk: Desk, options: argparse.Namespace) -> int:
    """Writes Envoy's files for what is wanted, or for blue alone where nothing is; returns the exit code.

    Raises:
        RenderProblem: if Envoy would not take them; nothing is written then.
        Busy: while another command changes them.
    """
    with desk.store.held("render"):
        state = desk.store.read()
        weights, pins = (all_to(Color.BLUE), {}) if state is None else (state.weights, revisions(state))
        snapshot = render(desk.config, desk.layout, weights, pins)
        await asyncio.to_thread(publish, snapshot, desk.layout)
    files = [desk.layout.bootstrap, *(desk.layout.xds(kind) for kind in ("lds", "cds", "rds"))]
    if options.json:
        sys.stdout.write(json.dumps({"files": [str(file) for file in files]}) + "\n")
    else:
        sys.stdout.write("".join(f"{file}\n" for file in files))
    return 0
