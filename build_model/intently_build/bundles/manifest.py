"""A bundle's manifest on disk, the list of its files, and the prompt layout that it states."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import json_format

from intently.v1 import bundle_pb2
from intently_build.bundles.seal import SEAL, seal_text
from intently_build.errors import BuildError
from intently_build.prompt import PromptLayout

MANIFEST = "bundle.json"


def read_manifest(folder: Path) -> bundle_pb2.BundleManifest:
    """Returns the manifest of the bundle in `folder`. Raises BuildError if it cannot be read."""
    path = folder / MANIFEST
    try:
        return json_format.Parse(path.read_text(encoding="utf-8"), bundle_pb2.BundleManifest())
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the manifest: {error}; is {folder} a bundle?") from error
    except json_format.ParseError as error:
        raise BuildError(f"{path}: not a manifest: {' '.join(str(error).split())}") from error


def write_manifest(folder: Path, manifest: bundle_pb2.BundleManifest) -> None:
    """Writes the manifest and its seal, so that no reader sees half of either.

    Killed between the two renames, it leaves the new manifest without a seal. Raises BuildError if the disk is full.
    """
    text = json_format.MessageToJson(
        manifest, preserving_proto_field_name=True, indent=2, sort_keys=True, ensure_ascii=False
    )
    content = f"{text}\n".encode()
    _put(folder, {MANIFEST: content, SEAL: seal_text(MANIFEST, content)})


def write_seal(folder: Path) -> None:
    """Seals the manifest in `folder` as it is now. Raises BuildError if the disk is full."""
    _put(folder, {SEAL: seal_text(MANIFEST, (folder / MANIFEST).read_bytes())})


def _put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Puts files in place of those that are there, once all of them are written; the seal of old content goes first."""
    beside = {name: folder / f".{name}.{os.getpid()}.partial" for name in contents}
    try:
        for name, content in contents.items():
            beside[name].write_bytes(content)
        (folder / SEAL).unlink(missing_ok=True)
        for name, path in beside.items():
            path.replace(folder / name)
    except OSError as error:
        raise BuildError(f"{folder}: cannot write {' and '.join(contents)}: {error.strerror}") from error
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)


def list_files(folder: Path, notices: str) -> list[bundle_pb2.BundleFile]:
    """Returns every file under `folder` but manifest and seal. Those in the folder `notices` do not change answers."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, SEAL))
    return [
        bundle_pb2.BundleFile(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=file_digest(path),
            affects_answers=path.relative_to(folder).parts[0] != notices,
        )
        for path in paths
    ]


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file of any size: 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest_layout(prompt: bundle_pb2.Prompt) -> PromptLayout:
    """Returns the fixed pieces that a manifest states."""
    return PromptLayout(
        prefix=prompt.prefix,
        utterance_open=prompt.utterance_open,
        suffix=prompt.suffix,
        user_open=prompt.turns.user_open,
        user_close=prompt.turns.user_close,
        assistant_open=prompt.turns.assistant_open,
        assistant_close=prompt.turns.assistant_close,
    )


def label_names(manifest: bundle_pb2.BundleManifest) -> list[str]:
    """Returns the name of each row of the head: the intents, and the out-of-scope label last if there is one."""
    label_set = manifest.label_set
    outside = [label_set.out_of_scope.name] if label_set.HasField("out_of_scope") else []
    return [*(intent.name for intent in label_set.intents), *outside]
