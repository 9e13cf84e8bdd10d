"""The seal of a bundle: a file beside the manifest that holds the manifest's own SHA-256.

The revision covers what changes answers, and the manifest covers every other file, but nothing in bundle.json covers
the rest of bundle.json: descriptions, evaluations, the recipe. The seal does. Its name begins with a dot because every
server so far refuses files that a manifest does not list, hidden ones apart.
"""

import hashlib
from pathlib import Path

SEAL = ".bundle.sha256"


def write_seal(folder: Path, manifest: str) -> None:
    """Seals the file named `manifest` in `folder` as it is now; `sha256sum --check` reads the seal too."""
    beside = folder / f"{SEAL}.partial"
    beside.write_bytes(_seal_of(folder / manifest))
    beside.replace(folder / SEAL)


def break_seal(folder: Path) -> None:
    """Takes the seal away, before the manifest is written anew."""
    (folder / SEAL).unlink(missing_ok=True)


def seal_fault(folder: Path, manifest: str) -> str | None:
    """Returns what is wrong with the seal of the file named `manifest`, or None."""
    try:
        found = (folder / SEAL).read_bytes()
    except FileNotFoundError:
        return (
            f"missing: nothing covers the words and evaluations in {manifest}; "
            "intently-build verify --seal writes it where all else is sound"
        )
    except OSError as error:
        return f"unreadable: {error.strerror}"
    if found != _seal_of(folder / manifest):
        return f"is not the SHA-256 of {manifest}: one of the two has changed"
    return None


def _seal_of(manifest: Path) -> bytes:
    return f"{hashlib.sha256(manifest.read_bytes()).hexdigest()}  {manifest.name}\n".encode()
