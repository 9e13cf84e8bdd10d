"""Puts a snapshot where Envoy watches for it: checked first, then each file by fsync and rename, never in place."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from intently_release.layout import Layout
from intently_release.xds.checks import check
from intently_release.xds.snapshot import Snapshot
from intently_release.xds.validate import validate

_PARTIAL = "partial"  # a folder beside the watched ones, so that they hold one file each and nothing else


def publish(snapshot: Snapshot, layout: Layout) -> None:
    """Writes the files that differ from what is there.

    Raises:
        RenderProblem: if Envoy may not be given it; nothing has been written then.
        ProxyProblem: if there is no Envoy to ask.
    """
    check(snapshot)
    validate(snapshot, _partial_folder(layout))
    for kind, document in snapshot.secrets.items():
        _replace(layout, layout.xds(kind), document)
    # What is referred to comes before what refers to it.
    for kind, document in (("cds", snapshot.cds), ("rds", snapshot.rds), ("lds", snapshot.lds)):
        _replace(layout, layout.xds(kind), document)
    _replace(layout, layout.bootstrap, snapshot.bootstrap)


def publish_routes(snapshot: Snapshot, layout: Layout) -> str:
    """Writes the routes alone; returns their version_info, by which Envoy says that it has applied them.

    Raises:
        RenderProblem: if Envoy may not be given them; nothing has been written then.
    """
    check(snapshot)
    _replace(layout, layout.xds("rds"), snapshot.rds)
    return str(snapshot.rds["version_info"])


def recover(layout: Layout) -> None:
    """Removes what commands left half written when they were killed."""
    for path in _partial_folder(layout).glob("*.json"):
        _, writer, *_ = path.name.split(".")
        if not (writer.isdigit() and psutil.pid_exists(int(writer))):
            path.unlink(missing_ok=True)


def _replace(layout: Layout, target: Path, document: Mapping[str, Any]) -> None:
    content = json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
    if target.exists() and target.read_bytes() == content:
        return
    folder = _partial_folder(layout)
    for each in (folder, target.parent):
        each.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{target.stem}.{os.getpid()}.{threading.get_ident()}.json"
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial_folder(layout: Layout) -> Path:
    return layout.run_dir / "xds" / _PARTIAL
