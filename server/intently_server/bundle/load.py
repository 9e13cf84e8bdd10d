"""Reads a bundle and verifies it: every byte, and that label set, head and prompt belong together."""

import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from tokenizers import Tokenizer

from intently.v1 import bundle_pb2, intent_service_pb2
from intently.v1.revision import compute_revision
from intently_server.bundle.errors import MANIFEST, BundleError
from intently_server.bundle.files import verify_files, verify_weights
from intently_server.bundle.meaning import verify_checkpoint, verify_meaning
from intently_server.errors import InvalidInput
from intently_server.model import Calibration, GoldenVector, Limits, Model, PromptLayout
from intently_server.prompt import PromptEncoder
from intently_server.types import Role, Turn

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: Its folder, which is also the checkpoint that the engine loads.
        manifest: What it says of itself, for those who ask.
        model: The part of that which answers depend on.
        encoder: Lays out its prompts as its builder did.
    """

    path: Path
    manifest: bundle_pb2.BundleManifest
    model: Model
    encoder: PromptEncoder


def load_bundle(path: Path) -> Bundle:
    """Reads and verifies the bundle in folder `path`; hashes all of its files.

    Raises:
        BundleError: if anything is missing, damaged, or does not belong together.
    """
    bundle = read_bundle(path)
    verify_weights(path, bundle.manifest)
    return bundle


def read_bundle(path: Path, revision: str | None = None) -> Bundle:
    """Reads the bundle in folder `path` and verifies all but its weights, of which only the size is looked at.

    Args:
        path: Of the bundle.
        revision: Of the bundle that another process loads, and whose weights it verifies. One of another is refused.

    Raises:
        BundleError: if anything else is missing, damaged, or does not belong together.
    """
    manifest = _read_manifest(path)
    if revision is not None and manifest.revision != revision:
        raise BundleError(MANIFEST, "is of another revision than the engine has loaded; restart the server")
    verify_files(path, manifest)
    if compute_revision(manifest) != manifest.revision:
        raise BundleError(MANIFEST, "the revision does not match the content; package the bundle again")
    verify_meaning(manifest)
    labels = [intent.name for intent in manifest.label_set.intents]
    if manifest.label_set.HasField("out_of_scope"):
        labels.append(manifest.label_set.out_of_scope.name)
    verify_checkpoint(path, labels, manifest.limits.max_input_tokens)
    model = _model(manifest, len(labels))
    return Bundle(path, manifest, model, _encoder(path, model))


def _read_manifest(path: Path) -> bundle_pb2.BundleManifest:
    file = path / MANIFEST
    if not path.is_dir():
        raise BundleError(str(path), "no such folder")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(MANIFEST, "missing; is this folder a bundle?") from None
    except (OSError, ValueError) as error:
        raise BundleError(MANIFEST, f"unreadable: {_one_line(error)}") from error
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
        raise BundleError(MANIFEST, f"is no bundle manifest: {_one_line(error)}") from error


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
            max_text_chars=limits.max_text_chars or None,
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


def _encoder(path: Path, model: Model) -> PromptEncoder:
    """The encoder of the bundle's prompts, which gives its golden vectors the token ids that the builder gave them."""
    file = "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path / file))
    except Exception as error:  # the library raises no narrower one
        raise BundleError(file, f"is no tokenizer: {_one_line(error)}") from error
    try:
        encoder = PromptEncoder(tokenizer, model.prompt, model.limits)
    except ValueError as error:
        raise BundleError(MANIFEST, str(error)) from error
    for index, golden in enumerate(model.golden_vectors):
        try:
            ids = encoder.encode(golden.text, golden.context).token_ids
        except InvalidInput as error:
            raise BundleError(MANIFEST, f"golden vector {index} cannot be laid out: {error}") from error
        if tuple(ids) != golden.token_ids:
            raise BundleError(
                MANIFEST,
                f"golden vector {index} has other token ids here than when it was packaged ({len(ids)} tokens, "
                f"{len(golden.token_ids)} then): tokenizer or prompt layout differ",
            )
    return encoder


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
