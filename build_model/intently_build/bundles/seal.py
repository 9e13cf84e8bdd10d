"""The seal of a bundle: a file beside the manifest that holds the manifest's own SHA-256.

The revision covers what changes answers, and the manifest covers every other file, but nothing in bundle.json covers
the rest of bundle.json: descriptions, evaluations, the recipe. The seal does. Its name begins with a dot because every
server so far refuses files that a manifest does not list, hidden ones apart.
"""

import hashlib
from pathlib import Path

SEAL = ".bundle.sha256"


def seal_text(name: str, content: bytes) -> bytes:
    """Returns the seal of a manifest of this name and content: a line as `sha256sum --check` reads it."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


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
    if found != seal_text(manifest, (folder / manifest).read_bytes()):
        return f"is not the SHA-256 of {manifest}: one of the two has changed"
    return None
