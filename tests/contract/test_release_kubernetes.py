"""The manifests of envoy/kubernetes: valid by the API's schemas, as kustomize makes them, at one with each other."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from intently_release.colors import Color
from support.kustomized import BUILT, FOLDER, built, sources
from support.manifests import Manifests, invalid, probes

VERSIONS = ("1.30", "1.37")  # the first that has all that is used, and the latest whose schemas are here
KUBECTL = shutil.which("kubectl")
of_each = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


@of_each
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(folder: Path, version: str) -> None:
    objects = built(folder)

    assert objects
    assert [(each["metadata"]["name"], problem) for each in objects if (problem := invalid(each, version))] == []


@pytest.mark.parametrize("name", ["drainTimeout", "readynessProbe"])
def test_a_field_that_does_not_exist_is_found(name: str) -> None:
    deployment = Manifests(FOLDER / "base").one("Deployment", "intently-blue")
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
    manifests = Manifests(folder)
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
    manifests = Manifests(folder)
    for deployment in manifests.kinds("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in probes(container).values():
            port = (probe.get("grpc") or probe["httpGet"])["port"]
            assert port in {*ports, *ports.values()}
        mounted = {each["name"] for run in (*pod.get("initContainers", ()), container) for each in run["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert {"grpc", "metrics"} == {name for name in ports if not name.startswith("front-end-")}
    [policy] = manifests.kinds("NetworkPolicy")
    called = {port["port"] for port in policy["spec"]["ingress"][0]["ports"]}
    for color in Color:
        assert called == {port["name"] for port in manifests.server(color)["ports"]} - {"metrics"}
    for service in manifests.kinds("Service"):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["grpc"]


@of_each
def test_autoscalers_scale_what_is_there_and_nobody_else_does(folder: Path) -> None:
    manifests = Manifests(folder)
    for each in manifests.kinds("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        assert manifests.one(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert [each for each in manifests.kinds("Deployment") if "replicas" in each["spec"]] == []


@of_each
def test_pods_may_do_nothing_that_they_need_not(folder: Path) -> None:
    manifests = Manifests(folder)
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
