"""Verifies that a bundle's files are those of its manifest, byte for byte, and no others."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from intently.v1 import bundle_pb2
from intently_server.bundle.errors import MANIFEST, BundleError

# The engine would read none of these. A bundle with one is refused all the same: others may load it less carefully.
_CODE = {".py", ".pyc", ".so", ".dll", ".dylib"}
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
_OTHER_WEIGHTS = {".h5", ".keras", ".msgpack", ".gguf"}
_WEIGHTS = ".safetensors"
_NEVER = frozenset(_CODE | _PICKLES | _OTHER_WEIGHTS)
_CHUNK = 16 << 20  # bytes: after each one a thread that hashes waits for Python's lock, behind imports


def verify_files(path: Path, manifest: bundle_pb2.BundleManifest) -> None:
    """Accepts a folder that holds what its manifest lists and no more, in silence; hidden files are not looked at. Of
    weights only the size is looked at: `verify_weights` hashes them.

    Args:
        path: The folder.
        manifest: Of the bundle.

    Raises:
        BundleError: names the first file at fault.
    """
    listed = {file.path for file in manifest.files}
    for required in ("config.json", "tokenizer.json"):
        if required not in listed:
            raise BundleError(required, "is not in the manifest")
    if not any(map(_is_weights, listed)):
        raise BundleError(MANIFEST, "lists no *.safetensors file")
    for entry in manifest.files:
        if _makes_answers(entry.path) and not entry.affects_answers:
            raise BundleError(entry.path, "changes answers, but the manifest says that it does not")
        if PurePosixPath(entry.path).suffix.lower() in _NEVER:
            raise BundleError(entry.path, "may run code as it is read; a bundle holds none, and weights as safetensors")
        _verify_file(path, entry, hashed=not _is_weights(entry.path))
    for name in _present_files(path):
        if name not in listed and name != MANIFEST:
            raise BundleError(name, "is not in the manifest; a bundle holds nothing else")


def verify_weights(path: Path, manifest: bundle_pb2.BundleManifest) -> None:
    """Accepts weights that are those of the manifest, byte for byte. It takes a second for each gigabyte or so.

    Args:
        path: The folder.
        manifest: Of the bundle.

    Raises:
        BundleError: names the first file at fault.
    """
    for entry in manifest.files:
        if _is_weights(entry.path):
            _verify_file(path, entry, hashed=True)


def _is_weights(name: str) -> bool:
    return name.endswith(_WEIGHTS)


def _makes_answers(name: str) -> bool:
    return _is_weights(name) or name == "config.json" or name.startswith("tokenizer")


def _verify_file(path: Path, entry: bundle_pb2.BundleFile, *, hashed: bool) -> None:
    pure = PurePosixPath(entry.path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in entry.path:
        raise BundleError(MANIFEST, f"the path {entry.path!r} leaves the bundle")
    file = path / pure
    try:
        size = file.stat().st_size
        if size != entry.size:
            raise BundleError(entry.path, f"has {size} bytes, the manifest says {entry.size}")
        if not hashed:
            return
        digest = _sha256(file)
    except FileNotFoundError:
        raise BundleError(entry.path, "missing") from None
    except OSError as error:
        raise BundleError(entry.path, f"unreadable: {error.strerror}") from error
    if digest != entry.sha256:
        raise BundleError(entry.path, f"its SHA-256 is {digest[:12]}…, the manifest says {entry.sha256[:12]}…")


def _sha256(file: Path) -> str:
    digest, chunk = hashlib.sha256(), memoryview(bytearray(min(_CHUNK, file.stat().st_size)))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(chunk):
            digest.update(chunk[:count])
    return digest.hexdigest()


def _present_files(path: Path) -> Iterator[str]:
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()
