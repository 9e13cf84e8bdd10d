"""The revision of a bundle: one algorithm for those who write bundles and those who check them.

Stated in words at `BundleManifest.revision` in bundle.proto.
"""

import hashlib
import json
import struct

from intently.v1 import bundle_pb2


def compute_revision(manifest: bundle_pb2.BundleManifest) -> str:
    """Returns the content hash of what changes answers: 64 hexadecimal digits, whatever `manifest.revision` says."""
    text = json.dumps(_answer_content(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _answer_content(manifest: bundle_pb2.BundleManifest) -> dict[str, object]:
    labels, calibration, prompt = manifest.label_set, manifest.calibration, manifest.prompt
    return {
        "calibration": {
            "ambiguity_margin": _bits(calibration.ambiguity_margin),
            "out_of_scope_score": int(calibration.out_of_scope_score),
            "out_of_scope_threshold": _bits(calibration.out_of_scope_threshold),
            "temperature": _bits(calibration.temperature),
        },
        "files": {file.path: file.sha256 for file in manifest.files if file.affects_answers},
        "head": {"code_token_ids": list(manifest.head.code_token_ids), "kind": int(manifest.head.kind)},
        "label_set": {
            "intents": [intent.name for intent in labels.intents],
            "out_of_scope": labels.out_of_scope.name if labels.HasField("out_of_scope") else None,
            "version": labels.version,
        },
        "limits": {
            "max_context_turns": manifest.limits.max_context_turns,
            "max_input_tokens": manifest.limits.max_input_tokens,
            "max_text_chars": manifest.limits.max_text_chars,
        },
        "prompt": {
            "assistant_close": prompt.turns.assistant_close,
            "assistant_open": prompt.turns.assistant_open,
            "prefix": prompt.prefix,
            "suffix": prompt.suffix,
            "user_close": prompt.turns.user_close,
            "user_open": prompt.turns.user_open,
            "utterance_open": prompt.utterance_open,
        },
    }


def _bits(number: float) -> str:
    """A double as the 16 hexadecimal digits of its IEEE 754 form, most significant first: alike in every language."""
    return struct.pack(">d", number).hex()
