"""How a server tells whoever started it that it is SERVING, and where."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from intently_server.engine.machine import Machine


def write_ready_file(
    path: Path | None, address: str, admin_address: str, machine: Machine, front_ends: Sequence[str] = ()
) -> None:
    """Writes the file in one step; nothing where none is wanted.

    Args:
        path: Where to.
        address: Where calls are answered.
        admin_address: Where the admin port is; "" if there is none.
        machine: What the server runs on.
        front_ends: Where each front end answers calls by itself; empty if they have no such ports.
    """
    if path is None:
        return
    ready: dict[str, object] = {"address": address, "admin": admin_address, "pid": os.getpid()}
    ready |= {"machine": machine.hardware, "vllm": machine.vllm}
    if front_ends:
        ready["front_ends"] = list(front_ends)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(ready), encoding="utf-8")
    partial.replace(path)
