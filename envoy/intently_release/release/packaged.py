"""What a release needs to know of a bundle. Whether its bytes are right, the server that loads it verifies."""

import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from intently.v1 import bundle_pb2
from intently_release.errors import Refused

MANIFEST = "bundle.json"

_TOLERANCE = 2e-2
_TOLERANCE_ROUNDED = 1e-1
_ROUND_ACTIVATIONS = {"bitsandbytes", "fp8", "int8"}


@dataclass(frozen=True, slots=True)
class Packaged:
    """A bundle.

    Attributes:
        path: Its folder, absolute.
        manifest: What it says of itself.
    """

    path: Path
    manifest: bundle_pb2.BundleManifest

    @property
    def name(self) -> str:
        """Of the model."""
        return self.manifest.name

    @property
    def tolerance(self) -> float:
        """Greatest difference of a confidence from a golden vector's, as the server has it (its warmup.py says why)."""
        return _TOLERANCE_ROUNDED if self.manifest.quantization.method in _ROUND_ACTIVATIONS else _TOLERANCE

    @property
    def revision(self) -> str:
        """The hash of what changes answers."""
        return self.manifest.revision


def revision_of(path: Path) -> str:
    """The revision that a bundle's folder holds now; "" if that cannot be read."""
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return str(content["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_packaged(path: Path) -> Packaged:
    """Reads what a bundle says of itself.

    Raises:
        Refused: if the folder is no bundle, or has nothing to check a server by.
    """
    file = path / MANIFEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        manifest = json_format.ParseDict(content, bundle_pb2.BundleManifest(), ignore_unknown_fields=True)
    except FileNotFoundError:
        raise Refused(f"{path} is no bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError, json_format.ParseError) as error:
        raise Refused(f"{file}: unreadable: {' '.join(str(error).split())}") from error
    if not manifest.revision or not manifest.golden_vectors:
        raise Refused(f"{file}: has no revision or no golden vectors; package the bundle again")
    return Packaged(path.resolve(), manifest)
