"""What Envoy must never be given is refused before anything is written: each kind of bad file that was seen."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intently_release.colors import Color, all_to, split
from intently_release.config import ReleaseConfig
from intently_release.errors import ReleaseError, RenderProblem
from intently_release.layout import Layout
from intently_release.xds.publish import publish, publish_routes, recover
from intently_release.xds.snapshot import Snapshot, discovery, render
from intently_release.xds.validate import validate
from support.envoy_process import run_folder, running_envoy
from support.serving import free_address

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
Json = dict[str, Any]
Spoil = Callable[[Json], object]


@pytest.fixture
def folder() -> Iterator[Path]:
    with run_folder() as path:
        yield path


@pytest.fixture
def config(folder: Path) -> ReleaseConfig:
    return ReleaseConfig(run_dir=folder, metrics=free_address(), listener={"address": free_address()})


def weights_of(document: Json) -> list[Json]:
    """The weighted clusters of the route of Classify."""
    [host] = document["resources"][0]["virtual_hosts"]
    route = next(route for route in host["routes"] if "weighted_clusters" in route["route"])
    clusters: list[Json] = route["route"]["weighted_clusters"]["clusters"]
    return clusters


def first_route(document: Json) -> Json:
    """The first of all routes."""
    route: Json = document["resources"][0]["virtual_hosts"][0]["routes"][0]
    return route


def spoiled(snapshot: Snapshot, kind: str, spoil: Spoil) -> Snapshot:
    """The snapshot with one document changed, and its version_info right for what it now says."""
    document = json.loads(json.dumps(getattr(snapshot, kind)))
    spoil(document)
    if isinstance(document.get("resources"), list) and "keep_version" not in document:
        document = discovery(document["resources"])
    document.pop("keep_version", None)
    return replace(snapshot, **{kind: document})


def files_of(layout: Layout) -> dict[Path, tuple[bytes, int]]:
    """Content and inode of all that is below the run directory's watched folders."""
    return {
        path: (path.read_bytes(), path.stat().st_ino)
        for path in (layout.bootstrap, *(layout.xds(kind) for kind in ("lds", "cds", "rds")))
    }


BAD_ROUTES: dict[str, Spoil] = {
    "empty document": lambda document: document.clear(),
    "no resources": lambda document: document["resources"].clear(),
    "no virtual hosts": lambda document: document["resources"][0]["virtual_hosts"].clear(),
    "no routes": lambda document: document["resources"][0]["virtual_hosts"][0]["routes"].clear(),
    "all weights 0": lambda document: [each.update(weight=0) for each in weights_of(document)],
    "weights over 100": lambda document: weights_of(document)[0].update(weight=101),
    "weights under 100": lambda document: weights_of(document)[0].update(weight=90),
    "negative weight": lambda document: (
        weights_of(document)[0].update(weight=110),
        weights_of(document)[1].update(weight=-10),
    ),
    "weight of a half": lambda document: (
        weights_of(document)[0].update(weight=99.5),
        weights_of(document)[1].update(weight=0.5),
    ),
    "wrong name": lambda document: document["resources"][0].update(name="others"),
    "two of one name": lambda document: document["resources"].append(document["resources"][0]),
    "two routes of one name": lambda document: document["resources"][0]["virtual_hosts"][0]["routes"].append(
        first_route(document)
    ),
    "two hosts of one domain": lambda document: document["resources"][0]["virtual_hosts"].append(
        {**document["resources"][0]["virtual_hosts"][0], "name": "again"}
    ),
    "a cluster twice": lambda document: weights_of(document)[1].update(name="blue-first"),
    "unknown weighted cluster": lambda document: weights_of(document)[1].update(name="red-first"),
    "unknown cluster": lambda document: first_route(document)["route"].update(cluster="red"),
    "unknown mirror": lambda document: first_route(document)["route"].update(
        request_mirror_policies=[{"cluster": "red"}]
    ),
    "route to nowhere": lambda document: first_route(document).pop("route"),
    "clusters not looked for": lambda document: document["resources"][0].update(validate_clusters=False),
    "not a number": lambda document: weights_of(document)[0].update(weight=float("nan")),
    "unknown type": lambda document: document["resources"][0].update({"@type": "type.googleapis.com/no.Such"}),
    "no type": lambda document: document["resources"][0].pop("@type"),
    "wrong version": lambda document: document.update(version_info="1", keep_version=True),
}
BAD_DOCUMENTS: dict[str, tuple[str, Spoil, str]] = {
    "unknown field": ("rds", lambda document: first_route(document).update(mach={}), "mach"),
    "unknown field of the listener": ("lds", lambda document: document["resources"][0].update(adress={}), "adress"),
    "unknown extension": (
        "cds",
        lambda document: document["resources"][2]["cluster_type"]["typed_config"].update(
            {"@type": "type.googleapis.com/no.Such"}
        ),
        "no.Such",
    ),
    "impossible value": (
        "cds",
        lambda document: document["resources"][0].update(connect_timeout="soon"),
        "connect_timeout",
    ),
    "port of none": (
        "lds",
        lambda document: document["resources"][0]["address"]["socket_address"].update(port_value=70000),
        "65535",
    ),
    "no listener": ("lds", lambda document: document["resources"].clear(), "lds: resources is empty"),
    "no cluster": ("cds", lambda document: document["resources"].clear(), "cds: resources is empty"),
    "cluster missing": ("cds", lambda document: document["resources"].pop(), "'green-first', which is no cluster"),
    "cluster twice": ("cds", lambda document: document["resources"].append(document["resources"][0]), "given twice"),
    "aggregate of nobody": (
        "cds",
        lambda document: document["resources"][2]["cluster_type"]["typed_config"].update(clusters=["red", "blue"]),
        "'red', which is no cluster",
    ),
    "listener without HTTP": ("lds", lambda document: document["resources"][0].update(filter_chains=[]), "HTTP"),
    "admin on TCP": (
        "bootstrap",
        lambda document: document["admin"].update(address={"socket_address": {"address": "::", "port_value": 1}}),
        "unix socket",
    ),
    "no files named": ("bootstrap", lambda document: document.pop("dynamic_resources"), "names no file"),
}


@pytest.mark.parametrize("bad", BAD_ROUTES)
def test_bad_routes_are_refused_and_nothing_is_written(config: ReleaseConfig, folder: Path, bad: str) -> None:
    layout = Layout(folder)
    good = render(config, layout, all_to(Color.BLUE))
    publish(good, layout)
    before = files_of(layout)

    for refuse in (publish, publish_routes):
        with pytest.raises(RenderProblem, match="rds"):
            refuse(spoiled(good, "rds", BAD_ROUTES[bad]), layout)
        assert files_of(layout) == before


@pytest.mark.parametrize("bad", BAD_DOCUMENTS)
def test_other_bad_files_are_refused_and_nothing_is_written(config: ReleaseConfig, folder: Path, bad: str) -> None:
    kind, spoil, said = BAD_DOCUMENTS[bad]
    layout = Layout(folder)
    good = render(config, layout, all_to(Color.BLUE))
    publish(good, layout)
    before = files_of(layout)

    with pytest.raises(RenderProblem) as caught:
        publish(spoiled(good, kind, spoil), layout)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)
    assert files_of(layout) == before
    assert [path.name for path in (folder / "xds" / "partial").iterdir()] == []


def test_a_first_snapshot_that_is_bad_leaves_no_watched_folder(config: ReleaseConfig, folder: Path) -> None:
    layout = Layout(folder)
    bad = spoiled(render(config, layout, all_to(Color.BLUE)), "rds", BAD_DOCUMENTS["unknown field"][1])

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
        for spoil in BAD_ROUTES.values():
            with pytest.raises(RenderProblem):
                publish_routes(spoiled(good, "rds", spoil), envoy.layout)
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
