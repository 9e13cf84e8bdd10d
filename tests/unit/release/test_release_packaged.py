"""What a bundle tells a release of itself."""

from dataclasses import replace

import pytest

from intently.v1 import bundle_pb2
from intently_release.release.packaged import read_packaged
from support.paths import BUNDLE


@pytest.mark.parametrize(
    ("method", "tolerance"), [("none", 0.02), ("gptq-int4", 0.02), ("int8", 0.1), ("fp8", 0.1), ("bitsandbytes", 0.1)]
)
def test_golden_answers_are_held_to_what_the_server_holds_them_to(method: str, tolerance: float) -> None:
    manifest = bundle_pb2.BundleManifest()
    manifest.CopyFrom(read_packaged(BUNDLE).manifest)
    manifest.quantization.method = method

    assert replace(read_packaged(BUNDLE), manifest=manifest).tolerance == tolerance
