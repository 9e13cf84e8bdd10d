"""intently-release render."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from intently_release.colors import Color, all_to, split
from intently_release.commands.desk import Desk
from intently_release.errors import ConfigProblem, Refused
from intently_release.state import supervisor_of
from intently_release.xds.checks import check
from intently_release.xds.publish import publish
from intently_release.xds.snapshot import Snapshot, render
from intently_release.xds.validate import validate


async def render_files(desk: Desk, options: argparse.Namespace) -> int:
    """Writes Envoy's files; returns the exit code.

    Raises:
        RenderProblem: if Envoy would not take them; nothing is written then.
        ConfigProblem: if the folder of --out cannot be written.
        Busy: while another command changes them.
        Refused: for a weight or a revision of an Envoy of this host, or if a supervisor has it.
    """
    if options.out is not None:
        files = await _elsewhere(desk, options)
    elif options.green is None and not options.revision:
        files = await _here(desk)
    else:
        raise Refused("--green and --revision go with --out; the weights of an Envoy of this host are set by: shift")
    if options.json:
        sys.stdout.write(json.dumps({"files": [str(file) for file in files]}) + "\n")
    else:
        sys.stdout.write("".join(f"{file}\n" for file in files))
    return 0


async def _here(desk: Desk) -> list[Path]:
    """Where Envoy watches: for what is wanted, or for blue alone where nothing is."""
    if (supervisor := supervisor_of(desk.layout)) is not None:
        raise Refused(
            f"{supervisor} runs an Envoy by the files in {desk.layout.run_dir}, and gives it new ones when it starts; "
            "--out DIR writes them elsewhere"
        )
    with desk.store.held("render"):
        state = desk.store.read()
        weights, pins = (all_to(Color.BLUE), {}) if state is None else (state.weights, state.revisions)
        snapshot = render(desk.config, desk.layout, weights, pins)
        await asyncio.to_thread(publish, snapshot, desk.layout)
    return [desk.layout.bootstrap, *(desk.layout.xds(kind) for kind in (*snapshot.secrets, "lds", "cds", "rds"))]


async def _elsewhere(desk: Desk, options: argparse.Namespace) -> list[Path]:
    """In one folder, for an Envoy on another host, whose paths they name; no state of this one is looked at."""
    weights, pins = split(Color.GREEN, options.green or 0), dict(options.revision)
    snapshot = render(desk.config, desk.layout, weights, pins)
    # Certificates are on that host: Envoy is asked about all but them.
    listener = desk.config.listener.model_copy(update={"tls": None})
    asked = render(desk.config.model_copy(update={"listener": listener}), desk.layout, weights, pins)
    return await asyncio.to_thread(_written, options.out, snapshot, asked)


def _written(folder: Path, snapshot: Snapshot, asked: Snapshot) -> list[Path]:
    check(snapshot)
    documents = {"bootstrap": snapshot.bootstrap, "cds": snapshot.cds, "rds": snapshot.rds, "lds": snapshot.lds}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the folder, of which every file may be taken for one of Envoy's.
        with tempfile.TemporaryDirectory(prefix=f".{folder.absolute().name}-", dir=folder.absolute().parent) as partial:
            validate(asked, Path(partial))
            return [_moved(partial, folder, kind, each) for kind, each in {**documents, **snapshot.secrets}.items()]
    except OSError as error:
        raise ConfigProblem(f"--out {folder}: {error.strerror}") from error


def _moved(partial: str, folder: Path, kind: str, document: object) -> Path:
    file = Path(partial) / f"{kind}.json"
    file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return file.replace(folder / file.name)
