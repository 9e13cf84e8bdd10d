"""Whether a bundle's folder still holds what was released: who overwrites it must not release it by a restart."""

from pathlib import Path

from intently_release.release.packaged import revision_of

WITHHELD = "not started: "
"""Begins what is told of such a server, in place of how it ended last."""


def replaced(bundle: Path | None, revision: str) -> str:
    """Why no server may be started on it, in words; "" if nothing speaks against it.

    What cannot be read is left to the server, which says more of it.

    Args:
        bundle: What was released; None of Envoy.
        revision: Which of it; "" if that is not known.
    """
    if bundle is None or not revision:
        return ""
    found = revision_of(bundle)
    if found in {"", revision}:
        return ""
    return (
        f"{bundle} holds revision {found[:12]} now, and {revision[:12]} was released: put that back, and what is there "
        "now into a folder of its own, to release it from there by `intently-release deploy`"
    )
