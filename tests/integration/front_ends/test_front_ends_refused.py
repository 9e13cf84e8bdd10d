"""What several front ends cannot be served with ends the start: exit code 2, and one line that says what it is."""

import asyncio
from pathlib import Path

from intently.v1 import bundle_pb2
from support.bundles import copy_bundle, edit_manifest
from support.paths import BUNDLE
from support.together import run_to_the_end


async def test_what_is_unusable_is_named_before_anything_is_started(tmp_path: Path) -> None:
    def rename(manifest: bundle_pb2.BundleManifest) -> None:
        manifest.revision = "0" * 64

    copy = copy_bundle(BUNDLE, tmp_path / "bundle")
    edit_manifest(copy, rename, seal=False)
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    anywhere = ("--address", "127.0.0.1:0")
    ended = await asyncio.gather(
        run_to_the_end(tmp_path, *anywhere, "--bundle", str(copy)),
        run_to_the_end(tmp_path, *anywhere, "--tls-certificate", "no.pem", "--tls-key", "no.key"),
        run_to_the_end(tmp_path, *anywhere, TMPDIR=str(deep)),
        run_to_the_end(tmp_path, "--address", "192.0.2.1:1"),
    )

    assert [code for code, _ in ended] == [2] * 4
    lines = [said.splitlines()[-1] for _, said in ended]
    named = [("revision",), ("no.pem",), ("TMPDIR", "bytes too long"), ("192.0.2.1:1",)]
    for line, words in zip(lines, named, strict=True):
        assert line.startswith("intently-server: ")
        assert all(word in line for word in words), line
    assert all("started" not in said for _, said in ended)
    assert left_behind(tmp_path, deep) == []


def left_behind(*folders: Path) -> list[Path]:
    """Folders of sockets that are there still."""
    return [found for folder in folders for found in folder.glob("intently-*")]
