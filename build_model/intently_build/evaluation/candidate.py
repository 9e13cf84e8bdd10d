"""The bundles of an evaluation: what each is called, what it is, and which of them is the reference."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import read_manifest
from intently_build.errors import BuildError


@dataclass(frozen=True)
class Candidate:
    """A bundle to evaluate.

    Attributes:
      name: what it is called in reports: its folder's name, or the path as given where two folders share a name.
      folder: where it is.
      manifest: what it says of itself.
    """

    name: str
    folder: Path
    manifest: bundle_pb2.BundleManifest

    @property
    def format(self) -> str:
        """How its weights are stored, in words."""
        stored = self.manifest.quantization
        if stored.method in ("", "none"):
            return stored.dtype or "unknown"
        return f"{stored.method} {stored.bits} bits" + (f", groups of {stored.group_size}" if stored.group_size else "")

    @property
    def bytes_on_disk(self) -> int:
        """The size of all files of its folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def read_candidates(bundles: Sequence[Path], reference: Path | None) -> tuple[Candidate, ...]:
    """Returns the bundles with the reference first: `reference`, among them or not, or else the first.

    Raises BuildError if one cannot be read or is named twice.
    """
    folders = list(bundles)
    if reference is not None:
        folders = [reference, *(folder for folder in folders if folder.resolve() != reference.resolve())]
    if twice := [folder for folder, times in Counter(folder.resolve() for folder in folders).items() if times > 1]:
        raise BuildError(f"{twice[0]}: named twice")
    names = Counter(folder.resolve().name for folder in folders)
    return tuple(
        Candidate(
            name=folder.resolve().name if names[folder.resolve().name] == 1 else str(folder),
            folder=folder,
            manifest=read_manifest(folder),
        )
        for folder in folders
    )
