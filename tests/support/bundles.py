"""Copies of a bundle to damage, one thing at a time: what is not meant to be wrong is made to match again."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision

Manifest = bundle_pb2.BundleManifest


def copy_bundle(source: Path, target: Path) -> Path:
    """Copies a bundle; returns where to."""
    shutil.copytree(source, target)
    return target


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle in this folder, unverified."""
    return json_format.Parse((path / "bundle.json").read_text(encoding="utf-8"), Manifest())


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes it as it is."""
    text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
    (path / "bundle.json").write_text(text, encoding="utf-8")


def edit_manifest(path: Path, edit: Callable[[Manifest], object], *, seal: bool = True) -> None:
    """Changes the manifest; with `seal` its revision is made to match."""
    manifest = read_manifest(path)
    edit(manifest)
    if seal:
        manifest.revision = compute_revision(manifest)
    write_manifest(path, manifest)


def changed(path: Path) -> str:
    """Makes another revision of it, in place, whose answers are the same; returns which."""

    def edit(manifest: Manifest) -> None:
        manifest.calibration.ambiguity_margin += 1e-6

    edit_manifest(path, edit)
    return read_manifest(path).revision


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Writes a file of the bundle, and makes size, checksum and revision match: only its meaning is changed."""
    (path / name).write_bytes(content)

    def reseal(manifest: Manifest) -> None:
        entry = next((file for file in manifest.files if file.path == name), None) or manifest.files.add(path=name)
        entry.size = len(content)
        entry.sha256 = hashlib.sha256(content).hexdigest()

    edit_manifest(path, reseal)


def edit_config(path: Path, **changes: Any) -> None:
    """Sets keys of config.json, and makes the manifest match."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    replace_file(path, "config.json", json.dumps({**config, **changes}).encode())


def spoil_weights(path: Path, size: int) -> None:
    """Adds so many bytes to the weights, as a tensor of zeros that takes no place on the disk: a sound file of the size
    that the manifest says, with another SHA-256.
    """
    weights = path / "model.safetensors"
    content = weights.read_bytes()
    begins = 8 + int.from_bytes(content[:8], "little")
    header, end = json.loads(content[8:begins]), len(content) - begins
    header["zeros"] = {"dtype": "U8", "shape": [size], "data_offsets": [end, end + size]}
    told = json.dumps(header).encode()
    with weights.open("wb") as file:
        file.write(len(told).to_bytes(8, "little") + told + content[begins:])
        file.truncate(8 + len(told) + end + size)

    def tell(manifest: Manifest) -> None:
        [entry] = [each for each in manifest.files if each.path == weights.name]
        entry.size = weights.stat().st_size

    edit_manifest(path, tell)
