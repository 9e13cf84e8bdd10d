"""The revision of a bundle: one algorithm for those who write bundles and those who check them.

Stated in words at `BundleManifest.revision` in bundle.proto.
"""

import hashlib
import json

from google.protobuf.json_format import MessageToDict

from intently.v1 import bundle_pb2

_ANSWER_FIELDS = ("calibration", "head", "label_set", "limits", "prompt")


def compute_revision(manifest: bundle_pb2.BundleManifest) -> str:
    """Returns the content hash of what changes answers: 64 hexadecimal digits, whatever `manifest.revision` says."""
    content: dict[str, object] = {
        name: MessageToDict(getattr(manifest, name), preserving_proto_field_name=True) for name in _ANSWER_FIELDS
    }
    content["files"] = {file.path: file.sha256 for file in manifest.files if file.affects_answers}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
