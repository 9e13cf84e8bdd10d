"""Faults of a bundle's checkpoint: a sequence classifier in safetensors that needs no code and has the labels' head."""

import json
from collections.abc import Iterator
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.bundles.fault import Fault
from intently_build.bundles.manifest import label_names

CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
_HEAD = "score.weight"


def checkpoint_faults(folder: Path, manifest: bundle_pb2.BundleManifest) -> Iterator[Fault]:
    """Yields what is wrong with config.json and the weights, beside the manifest."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield Fault(CONFIG, f"unreadable: {error}")
        config = {}
    if not isinstance(config, dict):
        yield Fault(CONFIG, "is no JSON object")
        config = {}
    if config:
        yield from (Fault(CONFIG, reason) for reason in _config_faults(config, manifest))
    yield from _weight_faults(folder, len(label_names(manifest)), config.get("hidden_size"))


def _config_faults(config: dict[str, object], manifest: bundle_pb2.BundleManifest) -> Iterator[str]:
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not any(
        str(name).endswith("ForSequenceClassification") for name in architectures
    ):
        yield f"architectures {architectures} has no sequence classifier"
    if "auto_map" in config:
        yield "asks for code from the bundle (auto_map), which is never run"
    names = label_names(manifest)
    if config.get("id2label") != {str(row): name for row, name in enumerate(names)}:
        yield "id2label is not the manifest's label set, row by row"
    positions, longest = config.get("max_position_embeddings"), manifest.limits.max_input_tokens
    if not isinstance(positions, int) or positions < longest:
        yield f"has {positions} positions, fewer than the manifest's max_input_tokens, {longest}"
    vocabulary = config.get("vocab_size")
    if any(not isinstance(vocabulary, int) or not 0 <= code < vocabulary for code in manifest.head.code_token_ids):
        yield f"has a vocabulary of {vocabulary}, and the head a code token outside it"
    if (manifest.quantization.method in ("", "none")) == ("quantization_config" in config):
        yield f"does not agree with the manifest's quantization.method, {manifest.quantization.method!r}"


def _weight_faults(folder: Path, labels: int, hidden_size: object) -> Iterator[Fault]:
    """Faults of the safetensors files' headers: readable, all there, and one head with a row for each label."""
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, str] = {}
    shape: list[int] | None = None
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as opened:
                tensors |= dict.fromkeys(opened.keys(), file.name)
                shape = list(opened.get_slice(_HEAD).get_shape()) if _HEAD in opened.keys() else shape  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            yield Fault(file.name, f"is no safetensors file: {error}")
            return
    if tensors and shape != [labels, hidden_size]:
        yield Fault(
            next(iter(tensors.values())),
            f"the head ({_HEAD}) has shape {shape}; {labels} labels of a model of width {hidden_size} need "
            f"[{labels}, {hidden_size}]",
        )
    yield from _index_faults(folder, tensors)


def _index_faults(folder: Path, tensors: dict[str, str]) -> Iterator[Fault]:
    """Faults of the index of a checkpoint in several files, where there is one."""
    if not (folder / _INDEX).is_file():
        return
    try:
        placed = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Fault(_INDEX, f"unreadable: {error}")
        return
    if placed != tensors:
        yield Fault(_INDEX, "places the tensors elsewhere than they are")
