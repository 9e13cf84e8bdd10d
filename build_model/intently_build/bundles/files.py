"""Faults of a bundle's files: each is what the manifest says, byte for byte, and there are no others."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from intently.v1 import bundle_pb2
from intently_build.bundles.fault import Fault
from intently_build.bundles.manifest import MANIFEST, file_digest
from intently_build.bundles.seal import SEAL

# Files that some loaders run, or that hold weights in another form than safetensors: the server refuses them too.
_CODE = {".py", ".pyc", ".so", ".dll", ".dylib"}
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
_OTHER_WEIGHTS = {".h5", ".keras", ".msgpack", ".gguf"}
_NEVER = frozenset(_CODE | _PICKLES | _OTHER_WEIGHTS)
_NOTICES = "notices"


def file_faults(folder: Path, manifest: bundle_pb2.BundleManifest) -> Iterator[Fault]:
    """Yields what is wrong with the files in `folder`, hidden ones included, against the manifest's list of them."""
    yield from _list_faults(manifest)
    for entry in manifest.files:
        yield from _entry_faults(folder, entry)
    yield from present_faults(folder, {entry.path for entry in manifest.files})


def present_faults(folder: Path, listed: set[str] | None) -> Iterator[Fault]:
    """Yields what is wrong with what lies in `folder`, whatever is in it.

    Args:
      folder: the bundle's.
      listed: paths of the manifest's list, or None if the manifest could not be read.
    """
    root = os.path.realpath(folder)
    for name in present_names(folder):
        path = folder / name
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
            yield Fault(name, "links out of the bundle")
        if listed is not None and name not in (MANIFEST, SEAL) and name not in listed:
            yield Fault(name, "is not in the manifest; a bundle holds nothing else")


def present_names(folder: Path) -> list[str]:
    """Returns the name of all that lies under `folder` and is no folder; a link to a folder counts as a file."""
    names = []
    for place, folders, files in os.walk(folder):
        found = [*files, *(each for each in folders if Path(place, each).is_symlink())]
        names += [Path(place, each).relative_to(folder).as_posix() for each in found]
    return sorted(names)


def _list_faults(manifest: bundle_pb2.BundleManifest) -> Iterator[Fault]:
    """Faults of the list itself."""
    counts = Counter(entry.path for entry in manifest.files)
    for path, count in counts.items():
        if count > 1:
            yield Fault(MANIFEST, f"lists {path} {count} times")
    for required in ("config.json", "tokenizer.json"):
        if required not in counts:
            yield Fault(MANIFEST, f"does not list {required}")
    if not any(path.endswith(".safetensors") for path in counts):
        yield Fault(MANIFEST, "lists no *.safetensors file")
    if manifest.origin.data and not any(path.startswith(f"{_NOTICES}/") for path in counts):
        yield Fault(MANIFEST, f"names data it was trained on, but lists no licence or source of it in {_NOTICES}/")


def _entry_faults(folder: Path, entry: bundle_pb2.BundleFile) -> Iterator[Fault]:
    """Faults of one listed file: its path, its kind, its bytes."""
    pure = PurePosixPath(entry.path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in entry.path:
        yield Fault(MANIFEST, f"lists {entry.path!r}, which leaves the bundle")
        return
    if pure.suffix.lower() in _NEVER:
        yield Fault(entry.path, "may run code as it is read; a bundle holds none, and weights as safetensors only")
    if _changes_answers(entry.path) and not entry.affects_answers:
        yield Fault(MANIFEST, f"says that {entry.path} does not change answers")
    if entry.path.startswith(f"{_NOTICES}/") and entry.size == 0:
        yield Fault(entry.path, "is empty; a notice says something")
    try:
        yield from _content_faults(folder / pure, entry)
    except FileNotFoundError:
        yield Fault(entry.path, "missing")
    except OSError as error:
        yield Fault(entry.path, f"unreadable: {error.strerror}")


def _content_faults(path: Path, entry: bundle_pb2.BundleFile) -> Iterator[Fault]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        yield Fault(entry.path, "is no plain file")
    elif found.st_size != entry.size:
        yield Fault(entry.path, f"has {found.st_size} bytes, the manifest says {entry.size}")
    else:
        digest = file_digest(path)
        if digest != entry.sha256:
            yield Fault(entry.path, f"its SHA-256 is {digest[:12]}…, the manifest says {entry.sha256[:12]}…")


def _changes_answers(name: str) -> bool:
    return name.endswith(".safetensors") or name == "config.json" or name.startswith("tokenizer")
