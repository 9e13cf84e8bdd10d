"""What Envoy must never be given is refused before anything is written: each kind of bad file that was seen."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_release.colors import Color, all_to, split
from intently_release.config import ReleaseConfig
from intently_release.errors import ReleaseError, RenderProblem, WriteProblem
from intently_release.layout import Layout
from intently_release.xds.publish import publish, publish_routes, recover
from intently_release.xds.snapshot import render
from intently_release.xds.validate import validate
from support.bad_snapshots import BAD, BAD_ROUTES, BAD_TO_ENVOY, Fault, spoiled, weights_of
from support.envoy_process import run_folder, running_envoy
from support.serving import free_address

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with run_folder() as path:
        yield path


@pytest.fixture
def config(folder: Path) -> ReleaseConfig:
    return ReleaseConfig(run_dir=folder, metrics=free_address(), listener={"address": free_address()})


def files_of(layout: Layout) -> dict[Path, tuple[bytes, int]]:
    """Content and inode of all that is below the run directory's watched folders."""
    return {
        path: (path.read_bytes(), path.stat().st_ino)
        for path in (layout.bootstrap, *(layout.xds(kind) for kind in ("lds", "cds", "rds")))
    }


@pytest.mark.parametrize("bad", BAD_ROUTES)
def test_bad_routes_are_refused_and_nothing_is_written(config: ReleaseConfig, folder: Path, bad: str) -> None:
    layout = Layout(folder)
    good = render(config, layout, all_to(Color.BLUE))
    publish(good, layout)
    before = files_of(layout)

    for refuse in (publish, publish_routes):
        with pytest.raises(RenderProblem, match="rds"):
            refuse(spoiled(good, BAD_ROUTES[bad]), layout)
        assert files_of(layout) == before


@pytest.mark.parametrize("bad", BAD | BAD_TO_ENVOY)
def test_other_bad_files_are_refused_and_nothing_is_written(config: ReleaseConfig, folder: Path, bad: str) -> None:
    fault = BAD.get(bad) or BAD_TO_ENVOY[bad]
    layout = Layout(folder)
    good = render(config, layout, all_to(Color.BLUE))
    publish(good, layout)
    before = files_of(layout)

    with pytest.raises(RenderProblem) as caught:
        publish(spoiled(good, fault), layout)

    assert fault.said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)
    assert files_of(layout) == before
    assert [path.name for path in (folder / "xds" / "partial").iterdir()] == []


def test_a_shift_writes_no_routes_that_envoy_refuses(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    good = render(config, layout, all_to(Color.BLUE))
    publish(good, layout)
    before = files_of(layout)
    beside_a_weight = Fault("rds", lambda document: weights_of(document)[0].update(weigth=5), "weigth")

    for fault in (BAD_TO_ENVOY["unknown field"], beside_a_weight):
        with pytest.raises(RenderProblem, match=fault.said):
            publish_routes(spoiled(good, fault), layout)
        assert files_of(layout) == before


@pytest.mark.parametrize("where", ["xds/partial", "xds/rds"])
def test_what_cannot_be_written_is_told_and_the_same_again_works(
    config: ReleaseConfig, folder: Path, where: str
) -> None:
    layout, blocked = Layout(folder), folder / where
    publish(render(config, layout, all_to(Color.BLUE)), layout)
    blocked.rename(folder / "away")
    blocked.touch()
    shifted = render(config, layout, split(Color.GREEN, 5))

    with pytest.raises(WriteProblem, match=f"cannot write {blocked}.*run the same command again"):
        publish_routes(shifted, layout)
    blocked.unlink()
    (folder / "away").rename(blocked)

    assert publish_routes(shifted, layout) == shifted.rds["version_info"]
    assert json.loads(layout.xds("rds").read_text()) == shifted.rds


def test_a_first_snapshot_that_is_bad_leaves_no_watched_folder(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    bad = spoiled(render(config, layout, all_to(Color.BLUE)), BAD_TO_ENVOY["unknown field"])

    with pytest.raises(RenderProblem, match="mach"):
        publish(bad, layout)

    assert not any(layout.xds(kind).parent.exists() for kind in ("lds", "cds", "rds"))
    assert not layout.bootstrap.exists()


@pytest.mark.parametrize("weights", [split(Color.GREEN, percent) for percent in (0, 1, 50, 99, 100)])
def test_envoy_takes_what_is_rendered(config: ReleaseConfig, folder: Path, weights: dict[Color, int]) -> None:
    revisions = {Color.BLUE: "a" * 64, Color.GREEN: "b" * 64}
    everything = config.model_copy(
        update={
            "listener": config.listener.model_copy(update={"cors_origins": ("https://a.example",)}),
            "traffic": config.traffic.model_copy(update={"sticky_header": "x-user", "mirror_percent": 10}),
        }
    )
    validate(render(everything, Layout(folder), weights, revisions, Color.GREEN), folder)


def test_envoy_keeps_its_routes_while_bad_ones_are_refused(config: ReleaseConfig, folder: Path) -> None:
    with running_envoy(config, folder) as envoy:
        good = render(config, envoy.layout, all_to(Color.BLUE))
        for fault in BAD_ROUTES.values():
            with pytest.raises(RenderProblem):
                publish_routes(spoiled(good, fault), envoy.layout)
        envoy.wait_applied(publish_routes(render(config, envoy.layout, all_to(Color.GREEN)), envoy.layout))

        stats = envoy.stats("^http.intently.rds.intently")
        assert stats["http.intently.rds.intently.update_rejected"] == 0
        assert stats["http.intently.rds.intently.update_failure"] == 0
        assert stats["http.intently.rds.intently.update_success"] == 2


def test_a_change_of_weights_writes_the_routes_alone(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    publish(render(config, layout, all_to(Color.BLUE)), layout)
    before = files_of(layout)

    publish(render(config, layout, split(Color.GREEN, 5)), layout)

    after = files_of(layout)
    assert {path for path in after if after[path] != before[path]} == {layout.xds("rds")}
    assert after[layout.xds("rds")][1] != before[layout.xds("rds")][1]  # renamed into place


def test_the_same_again_writes_nothing(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    publish(render(config, layout, all_to(Color.BLUE)), layout)
    before = files_of(layout)

    publish(render(config, layout, all_to(Color.BLUE)), layout)

    assert files_of(layout) == before


def test_what_a_killed_command_left_is_removed_and_what_a_live_one_writes_is_not(
    config: ReleaseConfig, folder: Path
) -> None:
    layout = Layout(folder)
    publish(render(config, layout, all_to(Color.BLUE)), layout)
    partial = folder / "xds" / "partial"
    dead, alive = partial / f"rds.{2**22 + 1}.1.json", partial / "rds.1.1.json"
    for path in (dead, alive):
        path.write_text("{")

    recover(layout)

    assert not dead.exists()
    assert alive.exists()
    assert layout.xds("rds").exists()


def test_many_changes_at_once_end_in_the_last(config: ReleaseConfig, folder: Path) -> None:
    with running_envoy(config, folder) as envoy:
        for percent in [*range(100), 7]:
            version = publish_routes(render(config, envoy.layout, split(Color.GREEN, percent)), envoy.layout)
        envoy.wait_applied(version)
        assert envoy.stats("rds.intently.update_rejected") == {"http.intently.rds.intently.update_rejected": 0}


def test_a_swap_as_kubernetes_does_it_is_taken_up(config: ReleaseConfig, folder: Path) -> None:
    """The file is a link through `..data`, and only that link is renamed."""

    def swap(percent: int) -> str:
        snapshot = render(config, envoy.layout, split(Color.GREEN, percent))
        version = watched / f"..{percent}"
        version.mkdir()
        (version / file.name).write_text(json.dumps(snapshot.rds))
        (watched / "..data_tmp").symlink_to(version.name)
        (watched / "..data_tmp").rename(watched / "..data")
        return str(snapshot.rds["version_info"])

    with running_envoy(config, folder) as envoy:
        file = envoy.layout.xds("rds")
        watched = file.parent
        file.unlink()
        file.symlink_to(f"..data/{file.name}")
        for percent in (5, 25, 50, 100):
            envoy.wait_applied(swap(percent))


def test_several_writers_never_leave_a_torn_file(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    problems: list[ReleaseError | OSError] = []

    def write(canary: Color) -> None:
        try:
            for percent in range(40):
                publish_routes(render(config, layout, split(canary, percent)), layout)
        except (ReleaseError, OSError) as problem:
            problems.append(problem)

    writers = [threading.Thread(target=write, args=(color,)) for color in Color]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert problems == []
    assert sum(each["weight"] for each in weights_of(json.loads(layout.xds("rds").read_text()))) == 100
