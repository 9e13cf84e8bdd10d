"""The prompt of a bundle, for targets that get it whole with each request."""

from pathlib import Path

from google.protobuf import json_format

from intently.v1 import bundle_pb2


def frame_of(bundle: Path) -> tuple[str, str]:
    """What stands before and after an utterance without context.

    Raises:
        ValueError: if the folder is no bundle, or its manifest none that this version reads.
        OSError: if the manifest cannot be read.
    """
    try:
        manifest = json_format.Parse((bundle / "bundle.json").read_text(encoding="utf-8"), bundle_pb2.BundleManifest())
    except json_format.ParseError as error:
        raise ValueError(f"{bundle}: bundle.json is no manifest: {error}") from error
    if not manifest.HasField("prompt"):
        raise ValueError(f"{bundle}: bundle.json is no manifest: it has no prompt")
    return manifest.prompt.prefix + manifest.prompt.utterance_open, manifest.prompt.suffix
