"""The manifests of envoy/kubernetes: valid by the API's schemas, and in step with each other, Envoy and the server."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from intently_release.colors import Color
from intently_release.commands.main import run
from intently_release.config import host_of, port_of, read_config
from intently_release.layout import Layout
from intently_release.supervise.place import server_place
from intently_server.health import INTENT_SERVICE, LIVENESS
from intently_server.settings import Settings, SettingsProblem, read_settings
from support.kustomized import BUILT, FOLDER, Object, built, sources

VERSIONS = ("1.30", "1.37")  # the first that has all that is used, and the latest whose schemas are here
CONFIG = read_config(FOLDER / "release.yaml")
LAYOUT = Layout(CONFIG.run_dir)
MOST_BYTES = 1024 * 1024  # of a ConfigMap
KUBECTL = shutil.which("kubectl")
of_each = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


class Built:
    """What a cluster gets of one folder."""

    def __init__(self, folder: Path) -> None:
        self.objects = built(folder)

    def kinds(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The one of that name."""
        [found] = [each for each in self.kinds(kind) if each["metadata"]["name"] == name]
        return found

    def pod(self, name: str) -> Object:
        """The spec of a Deployment's pods."""
        spec: Object = self.one("Deployment", name)["spec"]["template"]["spec"]
        return spec

    def server(self, color: Color) -> Object:
        """The server's container."""
        [container] = self.pod(f"intently-{color}")["containers"]
        return dict(container)

    def settings(self, color: Color) -> Settings:
        """As the server reads its arguments."""
        return read_settings(self.server(color)["args"])

    def envoy(self) -> Object:
        """Envoy's container."""
        [container] = self.pod("intently-envoy")["containers"]
        return dict(container)


def invalid(each: Object, version: str) -> str:
    """What the schema has against an object; nothing where it is valid."""
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""


def all_within(value: Any) -> Iterator[Object]:
    """All objects within one, itself too."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_within(inner)


def probes(container: Object) -> dict[str, Object]:
    """A container's probes by name."""
    return {name: probe for name, probe in container.items() if name.endswith("Probe")}


@of_each
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(folder: Path, version: str) -> None:
    objects = built(folder)

    assert objects
    assert [(each["metadata"]["name"], problem) for each in objects if (problem := invalid(each, version))] == []


@pytest.mark.parametrize("name", ["drainTimeout", "readynessProbe"])
def test_a_field_that_does_not_exist_is_found(name: str) -> None:
    deployment = Built(FOLDER / "base").one("Deployment", "intently-blue")
    deployment["spec"]["template"]["spec"]["containers"][0][name] = {}

    assert name in invalid(deployment, VERSIONS[-1])


@pytest.mark.skipif(KUBECTL is None, reason="needs kubectl, which has kustomize in it")
@of_each
def test_kustomize_makes_the_same_of_it(folder: Path) -> None:
    done = subprocess.run([str(KUBECTL), "kustomize", folder], capture_output=True, text=True, check=True, timeout=60)

    def in_order(objects: Any) -> list[str]:
        return sorted(json.dumps(each, sort_keys=True) for each in objects)

    assert in_order(yaml.safe_load_all(done.stdout)) == in_order(built(folder))


def test_no_file_is_left_out() -> None:
    manifests = {path for path in FOLDER.rglob("*.yaml") if path.parent != FOLDER}

    assert set().union(*map(sources, BUILT)) == manifests


def test_green_is_as_blue() -> None:
    blue, green = (FOLDER.joinpath("base", f"{color}.yaml").read_text() for color in Color)

    assert blue.replace("blue", "?").replace("green", "blue").replace("?", "green") == green


@of_each
def test_selectors_choose_the_pods_they_mean(folder: Path) -> None:
    manifests = Built(folder)
    pods = {each["metadata"]["name"]: each["spec"]["template"]["metadata"] for each in manifests.kinds("Deployment")}

    def chosen(selector: dict[str, str]) -> set[str]:
        return {name for name, pod in pods.items() if selector.items() <= pod["labels"].items()}

    for each in manifests.kinds("Deployment"):
        assert chosen(each["spec"]["selector"]["matchLabels"]) == {each["metadata"]["name"]}
        for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert chosen(spread["labelSelector"]["matchLabels"]) == {each["metadata"]["name"]}
    for each in manifests.kinds("PodDisruptionBudget"):
        assert chosen(each["spec"]["selector"]["matchLabels"]) == {each["metadata"]["name"]}
    services = {each["metadata"]["name"]: chosen(each["spec"]["selector"]) for each in manifests.kinds("Service")}
    colors = {f"intently-{color}" for color in Color}
    assert services == {"intently": {"intently-envoy"}, **{color: {color} for color in colors}}
    [policy] = manifests.kinds("NetworkPolicy")
    assert chosen(policy["spec"]["podSelector"]["matchLabels"]) == colors
    assert chosen(policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]) == {"intently-envoy"}


@of_each
def test_ports_and_volumes_that_are_named_exist(folder: Path) -> None:
    manifests = Built(folder)
    for deployment in manifests.kinds("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in probes(container).values():
            port = (probe.get("grpc") or probe["httpGet"])["port"]
            assert port in {*ports, *ports.values()}
        mounted = {each["name"] for run in (*pod.get("initContainers", ()), container) for each in run["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert {"grpc", "metrics"} == set(ports)
    for service in manifests.kinds("Service"):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["grpc"]


@of_each
def test_autoscalers_scale_what_is_there_and_nobody_else_does(folder: Path) -> None:
    manifests = Built(folder)
    for each in manifests.kinds("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        assert manifests.one(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert [each for each in manifests.kinds("Deployment") if "replicas" in each["spec"]] == []


@of_each
def test_ports_are_those_of_the_configuration(folder: Path) -> None:
    manifests = Built(folder)
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
        assert own == {"grpc": port_of(settings.address), "metrics": port_of(settings.admin_address)}
        assert own["grpc"] == port_of(endpoint)
        assert {host_of(settings.address), host_of(settings.admin_address)} == {"0.0.0.0"}  # noqa: S104  # of a pod


@of_each
@pytest.mark.parametrize("color", Color)
def test_the_servers_arguments_are_those_that_envoy_counts_on(folder: Path, color: Color) -> None:
    settings = Built(folder).settings(color)
    for name in ("max_wait", "max_concurrent_streams", "drain_delay", "drain_timeout"):
        assert getattr(settings, name) == getattr(CONFIG.servers, name), name


@of_each
@pytest.mark.parametrize("color", Color)
def test_a_server_has_the_time_that_its_end_takes(folder: Path, color: Color) -> None:
    manifests, health = Built(folder), CONFIG.traffic.health
    pod, settings = manifests.pod(f"intently-{color}"), manifests.settings(color)
    as_supervised = server_place(CONFIG, LAYOUT, LAYOUT.ready(color, 0)).ends_within_s

    assert pod["terminationGracePeriodSeconds"] >= as_supervised > settings.drain_delay + settings.drain_timeout
    # Envoy has noticed before the server refuses anything; so no preStop need wait for it.
    assert settings.drain_delay > health.interval * health.unhealthy_threshold + health.timeout
    assert "lifecycle" not in manifests.server(color)


@of_each
@pytest.mark.parametrize("color", Color)
def test_probes_ask_for_what_they_are_to_know(folder: Path, color: Color) -> None:
    asked = probes(Built(folder).server(color))

    assert {name: probe["grpc"]["service"] for name, probe in asked.items()} == {
        "startupProbe": INTENT_SERVICE,
        "readinessProbe": INTENT_SERVICE,
        "livenessProbe": LIVENESS,
    }
    startup = asked["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == CONFIG.servers.start_timeout


@of_each
def test_pods_may_do_nothing_that_they_need_not(folder: Path) -> None:
    manifests = Built(folder)
    [namespace] = manifests.kinds("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for deployment in manifests.kinds("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all({"configMap", "emptyDir"} & set(volume) for volume in pod["volumes"])
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_variables_that_a_service_would_bring_are_kept_away(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = Built(FOLDER / "base")
    monkeypatch.setenv("INTENTLY_SERVICE_HOST", "10.0.0.1")  # as of the Service "intently"

    with pytest.raises(SettingsProblem, match="INTENTLY_SERVICE_HOST"):
        manifests.settings(Color.BLUE)
    assert all(
        each["spec"]["template"]["spec"]["enableServiceLinks"] is False for each in manifests.kinds("Deployment")
    )


def test_each_server_of_the_overlays_has_the_gpus_that_it_uses() -> None:
    overlays = {folder.name: Built(folder) for folder in BUILT}
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
    manifests = Built(folder)
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
    assert f"--config-path={files.pop('bootstrap.json')}" in envoy["args"]
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
