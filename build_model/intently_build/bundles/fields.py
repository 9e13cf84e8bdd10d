"""Faults of a manifest's fields: each has a value that makes sense, and those that state the same thing agree."""

import math
import re
from collections.abc import Iterator
from hashlib import sha256

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundles.manifest import label_names

FORMAT_VERSION = 1

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUM_TOLERANCE = 1e-3  # of a golden vector's probabilities, which are stored in float32


def field_faults(manifest: bundle_pb2.BundleManifest) -> Iterator[str]:
    """Yields what is wrong with the manifest by itself."""
    if manifest.format_version != FORMAT_VERSION:
        yield f"format_version is {manifest.format_version}; this tool knows {FORMAT_VERSION}"
    if not _NAME.fullmatch(manifest.name):
        yield "name is not of lower-case letters, digits and hyphens, at most 63 characters"
    if compute_revision(manifest) != manifest.revision:
        yield f"revision {manifest.revision[:12]}… is not that of the content, {compute_revision(manifest)[:12]}…"
    yield from _label_faults(manifest)
    yield from _calibration_faults(manifest.calibration)
    yield from _limit_faults(manifest.limits)
    yield from _golden_faults(manifest)
    yield from _origin_faults(manifest.origin)
    for evaluation in manifest.evaluations:
        yield from _evaluation_faults(evaluation)


def _label_faults(manifest: bundle_pb2.BundleManifest) -> Iterator[str]:
    names, head = label_names(manifest), manifest.head
    if len(manifest.label_set.intents) < 2:
        yield f"label_set has {len(manifest.label_set.intents)} intents; at least two make a choice"
    if len(set(names)) < len(names):
        yield "label_set names a label twice"
    if "" in names:
        yield "label_set has a label without a name"
    if head.kind == bundle_pb2.HEAD_KIND_UNSPECIFIED:
        yield "head has no kind"
    if head.kind == bundle_pb2.HEAD_KIND_CODE_TOKENS:
        if len(head.code_token_ids) != len(names):
            yield f"head has {len(head.code_token_ids)} code tokens for {len(names)} labels"
        if len(set(head.code_token_ids)) < len(head.code_token_ids):
            yield "head uses a code token twice"


def _calibration_faults(calibration: bundle_pb2.Calibration) -> Iterator[str]:
    """Written so that NaN is wrong everywhere."""
    if not 0 < calibration.temperature < math.inf:
        yield "calibration.temperature is not a number over 0"
    if calibration.out_of_scope_score != bundle_pb2.OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX:
        yield "calibration.out_of_scope_score is none that servers know"
    if not calibration.out_of_scope_threshold >= 0:
        yield "calibration.out_of_scope_threshold is not a number from 0"
    if not 0 <= calibration.ambiguity_margin <= 1:
        yield "calibration.ambiguity_margin is not between 0 and 1"
    names = [point.name for point in calibration.operating_points]
    if len(set(names)) < len(names) or "" in names:
        yield "calibration.operating_points repeats a name, or has an empty one"
    for point in calibration.operating_points:
        if not point.threshold >= 0:
            yield f"calibration.operating_points: {point.name}'s threshold is not a number from 0"


def _limit_faults(limits: bundle_pb2.Limits) -> Iterator[str]:
    if limits.max_input_tokens < 1:
        yield "limits.max_input_tokens is not set"
    if min(limits.max_context_turns, limits.max_text_chars) < 0:
        yield "limits has one below 0"


def _golden_faults(manifest: bundle_pb2.BundleManifest) -> Iterator[str]:
    rows, intents = len(label_names(manifest)), [intent.name for intent in manifest.label_set.intents]
    if not manifest.golden_vectors:
        yield "golden_vectors is empty; servers check themselves by them"
    for number, golden in enumerate(manifest.golden_vectors):
        chances = list(golden.probabilities)
        if len(chances) != rows:
            yield f"golden vector {number} has {len(chances)} probabilities for {rows} labels"
        elif not all(0 <= chance <= 1 for chance in chances) or not abs(sum(chances) - 1) <= _SUM_TOLERANCE:
            yield f"golden vector {number} has probabilities that are none"
        elif intents and golden.intent != max(zip(chances, intents, strict=False))[1]:
            yield f"golden vector {number} has an intent that is not its likeliest"


def _origin_faults(origin: bundle_pb2.Origin) -> Iterator[str]:
    if origin.recipe_sha256 != (sha256(origin.recipe.encode()).hexdigest() if origin.recipe else ""):
        yield "origin.recipe_sha256 is not that of origin.recipe"
    if origin.parameters < 0:
        yield "origin.parameters is below 0"
    for source in origin.data:
        if not source.name or not source.license:
            yield f"origin.data: {source.name or 'a source'} has no name or no licence"
        if not _DIGEST.fullmatch(source.sha256):
            yield f"origin.data: {source.name}'s sha256 is no SHA-256"


def _evaluation_faults(evaluation: bundle_pb2.Evaluation) -> Iterator[str]:
    where = f"the evaluation on {evaluation.dataset} {evaluation.split}"
    shares = [evaluation.accuracy, evaluation.macro_f1, evaluation.ece, evaluation.ece_perfect_p95]
    shares += [evaluation.out_of_scope_auroc, evaluation.agreement]  # 0 where not set
    for result in evaluation.operating_points:
        shares += [result.in_scope_accuracy, result.in_scope_kept, result.out_of_scope_recall]
    if not all(0 <= share <= 1 for share in shares):
        yield f"{where} has a share that is not between 0 and 1"
    if min(evaluation.in_scope_rows, evaluation.out_of_scope_rows) < 0:
        yield f"{where} has a number of rows below 0"
    if any(not _DIGEST.fullmatch(digest) for digest in evaluation.data_sha256):
        yield f"{where} has a data_sha256 that is no SHA-256"
