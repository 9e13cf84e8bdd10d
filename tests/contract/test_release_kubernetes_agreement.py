"""The manifests of envoy/kubernetes agree with release.yaml, with what is rendered of it, and with the server."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intently_release.colors import Color
from intently_release.commands.main import run
from intently_release.config import host_of, port_of, read_config
from intently_release.layout import Layout
from intently_release.supervise.place import server_place
from intently_server.health import INTENT_SERVICE, LIVENESS
from intently_server.settings import SettingsProblem
from support.kustomized import BUILT, FOLDER, Object
from support.manifests import Manifests, probes

CONFIG = read_config(FOLDER / "release.yaml")
LAYOUT = Layout(CONFIG.run_dir)
MOST_BYTES = 1024 * 1024  # of a ConfigMap
of_each = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


def all_within(value: Any) -> Iterator[Object]:
    """All objects within one, itself too."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_within(inner)


@of_each
def test_ports_are_those_of_the_configuration(folder: Path) -> None:
    manifests = Manifests(folder)
    ports = {port["name"]: port["containerPort"] for port in manifests.envoy()["ports"]}
    assert CONFIG.metrics is not None
    assert (port_of(CONFIG.listener.address), port_of(CONFIG.metrics)) == (ports["grpc"], ports["metrics"])
    for color in Color:
        servers = CONFIG.colors.of(color)
        [endpoint] = servers.endpoints
        service, settings = manifests.one("Service", host_of(endpoint)), manifests.settings(color)
        assert servers.discovery == "dns"
        assert service["spec"]["clusterIP"] == "None"
        assert service["metadata"]["labels"]["intently/color"] == color
        # A headless name stands for the pods: its port is theirs.
        assert [port["port"] for port in service["spec"]["ports"]] == [port_of(endpoint)]
        own = {port["name"]: port["containerPort"] for port in manifests.server(color)["ports"]}
        front_ends = {name: own.pop(name) for name in tuple(own) if name.startswith("front-end-")}
        assert own == {"grpc": port_of(settings.address), "metrics": port_of(settings.admin_address)}
        assert own["grpc"] == port_of(endpoint)
        several = CONFIG.servers.model_copy(update={"front_ends": settings.front_ends})
        called = CONFIG.model_copy(update={"servers": several}).own_addresses(color, endpoint)
        assert [*front_ends.values()] == [port_of(each) for each in called]
        assert [*front_ends.values()][:1] == [settings.front_end_port] * (settings.front_ends > 1)
        assert {host_of(settings.address), host_of(settings.admin_address)} == {"0.0.0.0"}  # noqa: S104  # of a pod


@of_each
@pytest.mark.parametrize("color", Color)
def test_the_servers_arguments_are_those_that_envoy_counts_on(folder: Path, color: Color) -> None:
    settings = Manifests(folder).settings(color)
    for name in ("max_wait", "max_concurrent_streams", "drain_delay", "drain_timeout"):
        assert getattr(settings, name) == getattr(CONFIG.servers, name), name


@of_each
def test_envoys_arguments_are_what_the_configuration_says(folder: Path) -> None:
    arguments = Manifests(folder).envoy()["args"]
    flags = dict(itertools.pairwise(arguments))

    assert flags["--concurrency"] == str(CONFIG.traffic.workers)  # a server has so many times max_concurrent_streams
    assert float(flags["--drain-time-s"]) == CONFIG.listener.drain_s


@of_each
@pytest.mark.parametrize("color", Color)
def test_a_server_has_the_time_that_its_end_takes(folder: Path, color: Color) -> None:
    manifests, health = Manifests(folder), CONFIG.traffic.health
    pod, settings = manifests.pod(f"intently-{color}"), manifests.settings(color)
    as_supervised = server_place(CONFIG, LAYOUT, LAYOUT.ready(color, 0)).ends_within_s

    assert pod["terminationGracePeriodSeconds"] >= as_supervised > settings.drain_delay + settings.drain_timeout
    # Envoy has noticed before the server refuses anything; so no preStop need wait for it.
    assert settings.drain_delay > health.interval * health.unhealthy_threshold + health.timeout
    assert "lifecycle" not in manifests.server(color)


@of_each
@pytest.mark.parametrize("color", Color)
def test_probes_ask_for_what_they_are_to_know(folder: Path, color: Color) -> None:
    asked = probes(Manifests(folder).server(color))

    assert {name: probe["grpc"]["service"] for name, probe in asked.items()} == {
        "startupProbe": INTENT_SERVICE,
        "readinessProbe": INTENT_SERVICE,
        "livenessProbe": LIVENESS,
    }
    startup = asked["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == CONFIG.servers.start_timeout


def test_variables_that_a_service_would_bring_are_kept_away(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = Manifests(FOLDER / "base")
    monkeypatch.setenv("INTENTLY_SERVICE_HOST", "10.0.0.1")  # as of the Service "intently"

    with pytest.raises(SettingsProblem, match="INTENTLY_SERVICE_HOST"):
        manifests.settings(Color.BLUE)
    assert all(
        each["spec"]["template"]["spec"]["enableServiceLinks"] is False for each in manifests.kinds("Deployment")
    )


def test_servers_have_several_front_ends_where_the_overlay_says_so() -> None:
    assert CONFIG.servers.front_ends == 1
    assert {folder.name: Manifests(folder).settings(color).front_ends for folder in BUILT for color in Color} == {
        folder.name: 2 if folder.name == "front-ends" else 1 for folder in BUILT
    }


def test_each_server_of_the_overlays_has_the_gpus_that_it_uses() -> None:
    overlays = {folder.name: Manifests(folder) for folder in BUILT}
    for name, manifests in overlays.items():
        for color in Color:
            gpus = int(manifests.server(color)["resources"]["limits"]["nvidia.com/gpu"])
            assert gpus == manifests.settings(color).tensor_parallel_size == (2 if name == "tensor-parallel" else 1)
    shared = overlays["one-gpu"]
    assert sum(shared.settings(color).gpu_memory_utilization for color in Color) < 1
    strategies = [shared.one("Deployment", f"intently-{color}")["spec"]["strategy"] for color in Color]
    assert strategies == [{"type": "Recreate"}] * 2


@pytest.mark.envoy
@of_each
def test_envoy_finds_what_was_rendered(folder: Path, tmp_path: Path) -> None:
    assert run(["render", "--config", str(FOLDER / "release.yaml"), "--out", str(tmp_path)]) == 0

    rendered = {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < MOST_BYTES
    manifests = Manifests(folder)
    pod, envoy = manifests.pod("intently-envoy"), manifests.envoy()
    mounts = {mount["name"]: mount for mount in envoy["volumeMounts"]}
    files = {}
    for volume in pod["volumes"]:
        if "configMap" in volume:
            assert volume["configMap"]["name"] == "intently-envoy"
            [item] = volume["configMap"]["items"]
            assert "subPath" not in mounts[volume["name"]]
            files[item["key"]] = f"{mounts[volume['name']]['mountPath']}/{item['path']}"
    assert set(files) == set(rendered)
    assert envoy["args"][envoy["args"].index("--config-path") + 1] == files.pop("bootstrap.json")
    watched = [each for each in all_within(list(rendered.values())) if "watched_directory" in each]
    assert {each["path"] for each in watched} == set(files.values())
    assert all(each["watched_directory"]["path"] == str(Path(each["path"]).parent) for each in watched)
    sockets = {each["pipe"]["path"] for each in all_within(list(rendered.values())) if "pipe" in each}
    assert {str(Path(path).parent) for path in sockets} == {mounts["run"]["mountPath"]} == {str(CONFIG.run_dir)}


@pytest.mark.envoy
def test_clusters_are_all_pods_of_a_color_by_least_request(tmp_path: Path) -> None:
    assert run(["render", "--config", str(FOLDER / "release.yaml"), "--out", str(tmp_path)]) == 0

    clusters = {each["name"]: each for each in json.loads((tmp_path / "cds.json").read_text())["resources"]}
    assert {(clusters[color]["type"], clusters[color]["lb_policy"]) for color in Color} == {
        ("STRICT_DNS", "LEAST_REQUEST")
    }
