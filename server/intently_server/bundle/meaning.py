"""Verifies that label set, head, calibration and checkpoint belong together."""

import json
import math
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from intently.v1 import bundle_pb2
from intently_server.bundle.errors import MANIFEST, BundleError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def verify_meaning(manifest: bundle_pb2.BundleManifest) -> None:
    """Accepts a manifest that makes sense, in silence.

    Raises:
        BundleError: names the first thing that does not.
    """
    names = [intent.name for intent in manifest.label_set.intents]
    rows = len(names) + manifest.label_set.HasField("out_of_scope")
    calibration, head, limits = manifest.calibration, manifest.head, manifest.limits
    # Written so that NaN is wrong everywhere.
    checks = {
        "has a name that is not of lower-case letters, digits and hyphens": not _NAME.fullmatch(manifest.name),
        "has fewer than two intents": len(names) < 2,
        "repeats an intent's name, or has an empty one": len(set(names)) < len(names) or "" in names,
        "has no head kind": head.kind == bundle_pb2.HEAD_KIND_UNSPECIFIED,
        f"has {len(head.code_token_ids)} code tokens for {rows} labels": head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS
        and len(head.code_token_ids) != rows,
        "has a temperature that is not a number over 0": not 0 < calibration.temperature < math.inf,
        "has no out-of-scope score that this server knows": calibration.out_of_scope_score
        != bundle_pb2.OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX,
        "has an out-of-scope threshold that is not a number from 0": not (
            calibration.out_of_scope_threshold >= 0
        ),  # NaN
        "has an ambiguity margin that is not between 0 and 1": not 0 <= calibration.ambiguity_margin <= 1,
        "has no max_input_tokens": limits.max_input_tokens < 1,
        "has a limit below 0": min(limits.max_context_turns, limits.max_text_chars) < 0,
        "has no golden vectors": not manifest.golden_vectors,
        "has a golden vector with another number of probabilities than labels": any(
            len(golden.probabilities) != rows for golden in manifest.golden_vectors
        ),
        "has a golden vector whose intent is not its likeliest": any(
            golden.intent != _likeliest(golden, names) for golden in manifest.golden_vectors
        ),
    }
    for reason, wrong in checks.items():
        if wrong:
            raise BundleError(MANIFEST, reason)


def _likeliest(golden: bundle_pb2.GoldenVector, names: list[str]) -> str | None:
    """The name of the intent with the greatest probability; a label set that was reordered gives another."""
    return max(zip(golden.probabilities, names, strict=False), default=(0.0, None), key=lambda pair: pair[0])[1]


def verify_checkpoint(path: Path, labels: list[str], max_input_tokens: int) -> None:
    """Accepts a checkpoint that is a sequence classifier with these labels and needs no code, in silence.

    Args:
        path: Its folder.
        labels: What the rows of its head mean, in order.
        max_input_tokens: Tokens that it must take.

    Raises:
        BundleError: names the file at fault.
    """
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError("config.json", f"unreadable: {error}") from error
    if not isinstance(config, dict):
        raise BundleError("config.json", "unreadable: is no JSON object")
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not any(
        str(name).endswith("ForSequenceClassification") for name in architectures
    ):
        raise BundleError("config.json", f"architectures {architectures} has no sequence classifier")
    if "auto_map" in config:
        raise BundleError("config.json", "asks for code from the bundle (auto_map), which is never run")
    _verify_labels(config.get("id2label"), labels)
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < max_input_tokens:
        raise BundleError(
            "config.json", f"has {positions} positions, fewer than the manifest's max_input_tokens, {max_input_tokens}"
        )
    rows = len(labels)
    shape = _head_shape(path)
    if shape is None or shape[0] != rows:
        raise BundleError(MANIFEST, f"the label set has {rows} labels, the head (score.weight) has shape {shape}")


def _verify_labels(id2label: object, labels: list[str]) -> None:
    named = id2label if isinstance(id2label, dict) else {}
    if len(named) != len(labels):
        raise BundleError("config.json", f"names {len(named)} labels, the label set has {len(labels)}")
    for row, label in enumerate(labels):
        if named.get(str(row)) != label:
            raise BundleError("config.json", f"names row {row} {named.get(str(row))!r}, the label set {label!r}")


def _head_shape(path: Path) -> list[int] | None:
    for file in sorted(path.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as tensors:
                if "score.weight" in tensors.keys():  # noqa: SIM118  # not a dictionary
                    return list(tensors.get_slice("score.weight").get_shape())
        except SafetensorError as error:
            raise BundleError(file.name, f"is no safetensors file: {error}") from error
    return None
