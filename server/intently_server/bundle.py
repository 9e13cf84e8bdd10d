"""Reads a bundle and verifies it: every byte, and that label set, head and prompt belong together."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from google.protobuf import json_format
from intently.v1 import bundle_pb2, intent_service_pb2
from intently.v1.revision import compute_revision
from safetensors import SafetensorError, safe_open

from intently_server.model import Calibration, GoldenVector, Limits, Model, PromptLayout
from intently_server.types import Role, Turn

MANIFEST = "bundle.json"
FORMAT_VERSION = 1
DEFAULT_TEXT_CHARS = 32_768


class BundleError(Exception):
    """A bundle that cannot be served.

    Args:
        file: The file at fault, relative to the bundle's folder.
        reason: What is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: Its folder, which is also the checkpoint that the engine loads.
        manifest: What it says of itself, for those who ask.
        model: The part of that which answers depend on.
    """

    path: Path
    manifest: bundle_pb2.BundleManifest
    model: Model

    @property
    def tokenizer_file(self) -> Path:
        """The tokenizer, in the `tokenizers` library's format."""
        return self.path / "tokenizer.json"


def load_bundle(path: Path) -> Bundle:
    """Reads and verifies the bundle in folder `path`; hashes all of its files.

    Raises:
        BundleError: if anything is missing, damaged, or does not belong together.
    """
    manifest = _read_manifest(path)
    _verify_files(path, manifest)
    if compute_revision(manifest) != manifest.revision:
        raise BundleError(MANIFEST, "the revision does not match the content; package the bundle again")
    _verify_meaning(manifest)
    rows = len(manifest.label_set.intents) + manifest.label_set.HasField("out_of_scope")
    _verify_checkpoint(path, rows)
    return Bundle(path, manifest, _model(manifest, rows))


def _read_manifest(path: Path) -> bundle_pb2.BundleManifest:
    file = path / MANIFEST
    if not path.is_dir():
        raise BundleError(str(path), "no such folder")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(MANIFEST, "missing; is this folder a bundle?") from None
    except (OSError, ValueError) as error:
        raise BundleError(MANIFEST, f"unreadable: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or version < 1:
        raise BundleError(MANIFEST, "has no format_version")
    if version > FORMAT_VERSION:
        raise BundleError(
            MANIFEST,
            f"format version {version} is later than {FORMAT_VERSION}, the latest that this server knows; "
            "run a newer server",
        )
    try:
        return json_format.ParseDict(content, bundle_pb2.BundleManifest())
    except json_format.ParseError as error:
        raise BundleError(MANIFEST, f"is no bundle manifest: {error}") from error


def _verify_files(path: Path, manifest: bundle_pb2.BundleManifest) -> None:
    listed = {file.path for file in manifest.files}
    for required in ("config.json", "tokenizer.json"):
        if required not in listed:
            raise BundleError(required, "is not in the manifest")
    if not any(name.endswith(".safetensors") for name in listed):
        raise BundleError(MANIFEST, "lists no *.safetensors file")
    for entry in manifest.files:
        _verify_file(path, entry)
    for name in _present_files(path):
        if name not in listed and name != MANIFEST:
            raise BundleError(name, "is not in the manifest; a bundle holds nothing else")


def _verify_file(path: Path, entry: bundle_pb2.BundleFile) -> None:
    pure = PurePosixPath(entry.path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise BundleError(MANIFEST, f"the path {entry.path!r} leaves the bundle")
    file = path / pure
    try:
        size = file.stat().st_size
        if size != entry.size:
            raise BundleError(entry.path, f"has {size} bytes, the manifest says {entry.size}")
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise BundleError(entry.path, "missing") from None
    except OSError as error:
        raise BundleError(entry.path, f"unreadable: {error.strerror}") from error
    if digest != entry.sha256:
        raise BundleError(entry.path, f"its SHA-256 is {digest[:12]}…, the manifest says {entry.sha256[:12]}…")


def _present_files(path: Path) -> Iterator[str]:
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _verify_meaning(manifest: bundle_pb2.BundleManifest) -> None:
    names = [intent.name for intent in manifest.label_set.intents]
    rows = len(names) + manifest.label_set.HasField("out_of_scope")
    calibration, head = manifest.calibration, manifest.head
    checks = {
        "has fewer than two intents": len(names) < 2,
        "repeats an intent's name, or has an empty one": len(set(names)) < len(names) or "" in names,
        "has no head kind": head.kind == bundle_pb2.HEAD_KIND_UNSPECIFIED,
        f"has {len(head.code_token_ids)} code tokens for {rows} labels": head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS
        and len(head.code_token_ids) != rows,
        "has a temperature that is not a number over 0": not (0 < calibration.temperature < math.inf),
        "has no out-of-scope score that this server knows": calibration.out_of_scope_score
        != bundle_pb2.OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX,
        "has no max_input_tokens": manifest.limits.max_input_tokens < 1,
        "has no golden vectors": not manifest.golden_vectors,
        "has a golden vector with another number of probabilities than labels": any(
            len(golden.probabilities) != rows for golden in manifest.golden_vectors
        ),
    }
    for reason, wrong in checks.items():
        if wrong:
            raise BundleError(MANIFEST, reason)


def _verify_checkpoint(path: Path, rows: int) -> None:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError("config.json", f"unreadable: {error}") from error
    architectures = config.get("architectures") or []
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
        raise BundleError("config.json", f"architectures {architectures} has no sequence classifier")
    if "auto_map" in config:
        raise BundleError("config.json", "asks for code from the bundle (auto_map), which is never run")
    if len(config.get("id2label") or {}) != rows:
        raise BundleError("config.json", f"names {len(config.get('id2label') or {})} labels, the label set has {rows}")
    shape = _head_shape(path)
    if shape is None or shape[0] != rows:
        raise BundleError(MANIFEST, f"the label set has {rows} labels, the head (score.weight) has shape {shape}")


def _head_shape(path: Path) -> list[int] | None:
    for file in sorted(path.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as tensors:
                if "score.weight" in tensors.keys():  # noqa: SIM118  # not a dictionary
                    return list(tensors.get_slice("score.weight").get_shape())
        except SafetensorError as error:
            raise BundleError(file.name, f"is no safetensors file: {error}") from error
    return None


def _model(manifest: bundle_pb2.BundleManifest, rows: int) -> Model:
    prompt, turns, calibration, limits = manifest.prompt, manifest.prompt.turns, manifest.calibration, manifest.limits
    return Model(
        name=manifest.name,
        revision=manifest.revision,
        label_set_version=manifest.label_set.version,
        intents=tuple(intent.name for intent in manifest.label_set.intents),
        labels=rows,
        prompt=PromptLayout(
            prefix=prompt.prefix,
            utterance_open=prompt.utterance_open,
            suffix=prompt.suffix,
            user_open=turns.user_open,
            user_close=turns.user_close,
            assistant_open=turns.assistant_open,
            assistant_close=turns.assistant_close,
        ),
        calibration=Calibration(
            temperature=calibration.temperature,
            out_of_scope_threshold=calibration.out_of_scope_threshold,
            ambiguity_margin=calibration.ambiguity_margin,
        ),
        limits=Limits(
            max_input_tokens=limits.max_input_tokens,
            max_context_turns=limits.max_context_turns,
            max_text_chars=limits.max_text_chars or DEFAULT_TEXT_CHARS,
        ),
        golden_vectors=tuple(_golden(vector) for vector in manifest.golden_vectors),
    )


def _golden(vector: bundle_pb2.GoldenVector) -> GoldenVector:
    roles = {intent_service_pb2.ROLE_USER: Role.USER, intent_service_pb2.ROLE_ASSISTANT: Role.ASSISTANT}
    return GoldenVector(
        text=vector.text,
        context=tuple(Turn(roles.get(turn.role), turn.text) for turn in vector.context),
        token_ids=tuple(vector.token_ids),
        probabilities=tuple(vector.probabilities),
    )
