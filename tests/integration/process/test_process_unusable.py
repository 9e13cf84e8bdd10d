"""What cannot be served ends the start: exit code 2, and one line that names file and reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.bundles import copy_bundle, edit_config, edit_manifest, spoil_weights
from support.server_process import run_to_the_end


def damage_a_byte(path: Path) -> None:
    file = path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, str]]] = {
    "a missing file": (lambda path: (path / "tokenizer.json").unlink(), ("tokenizer.json", "missing")),
    "a wrong checksum": (damage_a_byte, ("model.safetensors", "SHA-256")),
    "labels that do not match the head": (
        lambda path: edit_config(path, id2label={"0": "a", "1": "b"}),
        ("config.json", "labels"),
    ),
    "a manifest of a later version": (
        lambda path: edit_manifest(path, lambda manifest: setattr(manifest, "format_version", 99)),
        ("bundle.json", "version 99 is later"),
    ),
    "no bundle": (lambda path: (path / "bundle.json").unlink(), ("bundle.json", "missing")),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_unusable_bundle(bundle_path: Path, tmp_path: Path, name: str) -> None:
    damage, words = DAMAGES[name]
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    damage(copy)

    ended = run_to_the_end("--bundle", str(copy), "--address", "127.0.0.1:0")

    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert all(word in line for word in (str(copy), *words))


@pytest.mark.parametrize("front_ends", ["1", "2"])
def test_large_weights_that_are_damaged_end_a_start_that_has_begun(
    bundle_path: Path, tmp_path: Path, front_ends: str
) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    spoil_weights(copy, 2 << 30)

    ended = run_to_the_end("--bundle", str(copy), "--address", "127.0.0.1:0", "--front-ends", front_ends)

    assert ended.returncode == 2
    assert ended.stdout == ""
    line = ended.stderr.splitlines()[-1]
    assert all(word in line for word in (str(copy), "model.safetensors", "SHA-256"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--bundle", "no/such/folder"], "no/such/folder"),
        (["--bundle", "x", "--max-in-flight", "0"], "--max-in-flight"),
        ([], "--bundle"),
    ],
)
def test_unusable_settings(arguments: list[str], named: str) -> None:
    ended = run_to_the_end(*arguments)

    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert named in line


def test_an_unknown_flag() -> None:
    ended = run_to_the_end("--bundle", "x", "--no-such-flag")

    assert ended.returncode == 2
    assert "--no-such-flag" in ended.stderr


def test_an_address_that_is_none(bundle_path: Path) -> None:
    ended = run_to_the_end("--bundle", str(bundle_path), "--address", "192.0.2.1:1")

    assert ended.returncode == 2
    assert "192.0.2.1:1" in ended.stderr.splitlines()[-1]


def test_help() -> None:
    ended = run_to_the_end("--help")

    assert ended.returncode == 0
    assert "--bundle" in ended.stdout
    assert "Exit codes" in " ".join(ended.stdout.split())  # wherever its lines break
