"""A server that is started for a measurement: what can be seen to fail is said before it starts."""

from pathlib import Path

import pytest

from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.errors import BuildError
from intently_build.evaluation.server_process import ServerSettings, serve
from support.paths import BUNDLE


def test_a_missing_plugin_is_named_with_what_installs_it(tmp_path: Path) -> None:
    manifest = read_manifest(BUNDLE)
    manifest.quantization.method = "bitsandbytes"
    write_manifest(tmp_path, manifest)
    with (
        pytest.raises(BuildError, match=r"pip install --no-deps vllm-bnb-plugin==0\.0\.3"),
        serve(tmp_path, ServerSettings("auto", 1.0, 1.0)),
    ):
        pass
