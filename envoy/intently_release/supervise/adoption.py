"""Finds what an earlier supervisor has left running, so that no twin of it is started.

Known by their command lines, which name files of this run directory: what was started just before the supervisor was
killed stands in no file yet.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import psutil

from intently_release.layout import Layout
from intently_release.supervise.place import ENVOY, ready_folder
from intently_release.supervise.program import Program


def left_running(layout: Layout) -> dict[str, psutil.Process]:
    """Living processes of this run directory by the name of their place."""
    found: dict[int, tuple[str, psutil.Process]] = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        name = _place_of(process.info["cmdline"] or (), layout)
        if name is not None and process.info["status"] != psutil.STATUS_ZOMBIE:
            found[process.pid] = (name, process)
    # A command that starts the server as its own child has the same arguments: it is the one to tell.
    return {name: process for name, process in found.values() if _parent(process) not in found}


def program_of(process: psutil.Process) -> Program:
    """What it runs, by its command line, which names no revision. Of one that has ended, nothing."""
    try:
        arguments = process.cmdline()
    except psutil.Error:
        arguments = []
    values = dict(itertools.pairwise(arguments))
    bundle, front_ends = values.get("--bundle"), values.get("--front-ends", "")
    return Program(
        tuple(arguments),
        Path(bundle) if bundle else None,
        address=values.get("--address", ""),
        front_ends=int(front_ends) if front_ends.isdecimal() else 1,
    )


def _place_of(arguments: Sequence[str], layout: Layout) -> str | None:
    for flag, value in itertools.pairwise(arguments):
        if flag == "--ready-file" and Path(value).parent == ready_folder(layout):
            return Path(value).stem
        if flag == "-c" and value == str(layout.bootstrap) and "--disable-hot-restart" in arguments:
            return ENVOY
    return None


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None
