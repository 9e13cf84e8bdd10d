"""A bundle's folder that was overwritten after its release: what is said of it."""

from pathlib import Path

from intently_release.supervise.replaced import replaced
from support.bundles import changed, copy_bundle, read_manifest
from support.paths import BUNDLE


def test_what_was_released_may_be_started_again(tmp_path: Path) -> None:
    bundle = copy_bundle(BUNDLE, tmp_path / "one")

    assert replaced(bundle, read_manifest(bundle).revision) == ""


def test_what_is_not_known_or_cannot_be_read_is_left_to_the_server(tmp_path: Path) -> None:
    assert replaced(None, "e" * 64) == ""
    assert replaced(tmp_path, "e" * 64) == ""
    assert replaced(copy_bundle(BUNDLE, tmp_path / "one"), "") == ""


def test_an_overwritten_folder_is_never_told_to_be_deployed_from(tmp_path: Path) -> None:
    bundle = copy_bundle(BUNDLE, tmp_path / "one")
    before = read_manifest(bundle).revision
    now = changed(bundle)

    told = replaced(bundle, before)

    assert told.startswith(f"{bundle} holds revision {now[:12]} now, and {before[:12]} was released: put that back")
    assert "a folder of its own" in told
    assert f"deploy {bundle}" not in told  # which is refused: its color runs from there
