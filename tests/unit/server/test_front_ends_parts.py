"""What front ends are started with: their part of all bounds, their seat, and how soon another comes in one's place."""

from pathlib import Path

import pytest

from intently_server.bundle import Bundle, BundleError, load_bundle, read_bundle
from intently_server.engine.seat import Seats, SeatsProblem
from intently_server.front_ends.backoff import Backoff
from intently_server.front_ends.part import part_of
from intently_server.settings import read_settings
from support.bundles import copy_bundle

THREE = ("--bundle", "b", "--front-ends", "3", "--max-batch-size", "100")


def test_bounds_are_shared_out_and_rounded_up() -> None:
    whole = read_settings([*THREE, "--max-in-flight", "1000", "--max-running", "2", "--ready-file", "r"])

    part = part_of(whole, "127.0.0.1:1234")

    assert (part.max_in_flight, part.max_running) == (334, 1)
    assert part.max_connections == -(-whole.max_connections // 3)
    assert part.max_unsent_bytes == -(-whole.max_unsent_bytes // 3)
    assert (part.max_wait, part.stream_max_in_flight) == (whole.max_wait, whole.stream_max_in_flight)
    assert (part.address, part.ready_file) == ("127.0.0.1:1234", None)
    assert part.max_batch_size <= part.max_in_flight


def test_a_seat_is_taken_once() -> None:
    seats = Seats(2, spare=1)

    taken = [seats.take() for _ in range(4)]

    assert [seat and seat.index for seat in taken] == [0, 1, 2, None]
    assert taken[:3] == list(seats.all)
    seats.give_back(seats.all[1])
    assert [seats.take(), seats.take()] == [seats.all[1], None]
    assert seats.folder.stat().st_mode & 0o777 == 0o700
    seats.remove()
    assert not seats.folder.exists()


def test_a_folder_too_deep_for_sockets_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    with pytest.raises(SeatsProblem, match="bytes too long for the sockets of front ends: set TMPDIR"):
        Seats(2)

    assert list(deep.iterdir()) == []


def test_the_more_often_they_die_the_later_another_comes() -> None:
    backoff = Backoff()

    waits = [backoff.after(lived_s=1.0) for _ in range(9)]

    assert waits == [0.1, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert backoff.after(lived_s=61.0) == 0.1


def test_what_was_verified_is_not_hashed_again_but_for_what_is_read(bundle: Bundle, tmp_path: Path) -> None:
    copy, revision = copy_bundle(bundle.path, tmp_path / "bundle"), bundle.model.revision
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")

    assert read_bundle(copy, revision).model == bundle.model
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(copy)
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="tokenizer"):
        read_bundle(copy, revision)


def test_another_revision_than_the_verified_is_refused(bundle_path: Path) -> None:
    with pytest.raises(BundleError, match="another revision"):
        read_bundle(bundle_path, "0" * 64)
