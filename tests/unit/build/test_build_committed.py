"""The committed bundles are what this program writes of their weights: every byte that no training decides."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.adapting.probes import Probes
from intently_build.bundles.manifest import MANIFEST, list_files, read_manifest, write_manifest
from intently_build.bundles.seal import SEAL
from intently_build.describing import Contents, describe
from intently_build.head_step import head_step
from intently_build.layout import prompt_layout
from intently_build.origin import Origin
from intently_build.package import NOTICES
from intently_build.pipeline import load_build
from intently_build.steps.digests import Digests
from intently_build.steps.journal import Journal
from intently_build.steps.perform import Performer
from support.paths import ROOT

BUILD = ROOT / "build_model"
BUNDLES = sorted(path.parent for path in (BUILD / "bundles").glob("*/bundle.json"))
WRITTEN = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")  # by the head step


def contents_of(bundle: Path, manifest: bundle_pb2.BundleManifest) -> Contents:
    """Returns what the bundle would be packaged from, had its run been kept: its own weights, and its recipe."""
    build = load_build(BUILD / "recipes" / f"{bundle.name}.yaml", None)
    said = manifest.origin
    origin = Origin(
        manifest.create_time.seconds,
        said.base_model,
        said.adapter,
        said.parameters,
        dict(said.tools),
        (*said.teachers,),
    )
    code_ids = (*manifest.head.code_token_ids,)
    return Contents(build.recipe, build.text, build.data, build.path, build.files, bundle, code_ids, origin)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_head_step_writes_the_checkpoint_that_is_committed(bundle: Path, tmp_path: Path) -> None:
    contents = contents_of(bundle, read_manifest(bundle))
    probes = Probes(prompt_layout(contents.recipe.prompt), ("one prompt is proof enough here",))
    head = head_step(bundle, tmp_path / "head", contents.data.labels.names, (), probes)
    Performer(Journal(Console(file=io.StringIO())), Digests(), 1).perform(head)
    for name in WRITTEN:
        assert (head.folder / name).read_bytes() == (bundle / name).read_bytes(), name


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_manifest_is_written_as_it_is_committed(bundle: Path, tmp_path: Path) -> None:
    committed = read_manifest(bundle)
    again = describe(contents_of(bundle, committed))
    again.calibration.CopyFrom(committed.calibration)  # these, the weights were asked for
    again.golden_vectors.extend(committed.golden_vectors)
    again.evaluations.extend(committed.evaluations)
    again.files.extend(list_files(bundle, NOTICES))
    again.revision = compute_revision(again)
    write_manifest(tmp_path, again)
    for name in (MANIFEST, SEAL):
        assert (tmp_path / name).read_bytes() == (bundle / name).read_bytes(), name
