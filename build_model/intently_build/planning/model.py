"""The model that is planned: a published shape, or what lies in a folder."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.bundles.facts import bundle_facts
from intently_build.bundles.manifest import MANIFEST, label_names, read_manifest
from intently_build.errors import BuildError
from intently_build.planning.shapes import PUBLISHED, Shape, is_classifier, read_config, shape_of
from intently_build.planning.stored import StoredFormat, stored_format


@dataclass(frozen=True)
class PlannedModel:
    """A shape, and what is known of its load.

    Attributes:
      shape: its sizes.
      labels, tokens, prefix_tokens: rows of its head, its longest prompt, the shared part of that; None if not known.
      stored_bytes: of its *.safetensors files, read; None for a published shape.
      stored: how those are stored; None for a published shape.
    """

    shape: Shape
    labels: int | None = None
    tokens: int | None = None
    prefix_tokens: int | None = None
    stored_bytes: int | None = None
    stored: StoredFormat | None = None


def published(name: str) -> PlannedModel:
    """Returns a published shape. Raises BuildError if none has that name."""
    full = name if name.startswith("qwen") else f"qwen2.5-{name}"
    if full not in PUBLISHED:
        raise BuildError(f"--shape {name}: not known; known are {', '.join(PUBLISHED)}, or give a folder")
    return PlannedModel(PUBLISHED[full])


def in_folder(folder: Path) -> PlannedModel:
    """Returns the model in a checkpoint's or a bundle's folder. Raises BuildError if it is neither."""
    shape, config = shape_of(folder), read_config(folder)
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors")), stored_format(config)
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        prompt = bundle_facts(folder, manifest).prompt
        return PlannedModel(shape, len(label_names(manifest)), prompt.limit, prompt.prefix, *stored)
    labels = config.get("id2label")
    known = len(labels) if is_classifier(config) and isinstance(labels, dict) else None
    return PlannedModel(shape, known, None, None, *stored)
