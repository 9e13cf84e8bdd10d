"""Puts a snapshot where Envoy watches for it: checked first, then each file by fsync and rename, never in place.

What is in a watched folder has been checked twice: by `checks`, and by Envoy itself. Only one change goes in without
asking Envoy again, that of weights alone: `checks` looks at all of those, and who takes the traffic off a bad color
must not wait until a busy machine has started another Envoy.
"""

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from intently_release.errors import WriteProblem
from intently_release.layout import Layout
from intently_release.xds.checks import check
from intently_release.xds.snapshot import Snapshot
from intently_release.xds.typed import objects
from intently_release.xds.validate import validate

_PARTIAL = "partial"  # a folder beside the watched ones, so that they hold one file each and nothing else


def publish(snapshot: Snapshot, layout: Layout) -> None:
    """Writes the files that differ from what is there.

    Raises:
        RenderProblem: if Envoy may not be given it; nothing has been written then.
        ProxyProblem: if there is no Envoy to ask.
        WriteProblem: if a file cannot be written; Envoy keeps the last one.
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
        ProxyProblem: if there is no Envoy to ask, where more than weights changes.
        WriteProblem: if the file cannot be written; Envoy keeps the last one.
    """
    check(snapshot)
    if _but_for_weights(snapshot.rds) != _but_for_weights(_published(layout.xds("rds"))):
        validate(snapshot, _partial_folder(layout))
    _replace(layout, layout.xds("rds"), snapshot.rds)
    return str(snapshot.rds["version_info"])


def recover(layout: Layout) -> None:
    """Removes what commands left half written when they were killed."""
    for path in _partial_folder(layout).glob("*.json"):
        _, writer, *_ = path.name.split(".")
        if not (writer.isdigit() and psutil.pid_exists(int(writer))):
            path.unlink(missing_ok=True)


def _published(path: Path) -> Mapping[str, Any]:
    """What Envoy was given last; nothing if that cannot be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _but_for_weights(document: Mapping[str, Any]) -> object:
    """Its resources without the weights of weighted clusters."""
    resources = json.loads(json.dumps(document.get("resources")))
    for each in objects(resources):
        weighted = each.get("weighted_clusters")
        clusters = weighted.get("clusters") if isinstance(weighted, dict) else None
        for cluster in clusters if isinstance(clusters, list) else ():
            if isinstance(cluster, dict):
                cluster.pop("weight", None)
    return resources


def _replace(layout: Layout, target: Path, document: Mapping[str, Any]) -> None:
    content = json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
    partial = _partial_folder(layout) / f"{target.stem}.{os.getpid()}.{threading.get_ident()}.json"
    try:
        if target.exists() and target.read_bytes() == content:
            return
        for folder in (partial.parent, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        _write(partial, content)
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise WriteProblem(
            f"cannot write {error.filename or target}: {error.strerror}. Envoy goes on with what it had. Make room "
            "there, or let this user write there, and run the same command again"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial_folder(layout: Layout) -> Path:
    return layout.run_dir / "xds" / _PARTIAL
