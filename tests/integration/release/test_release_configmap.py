"""The pods of envoy/kubernetes, run here by their manifests: Envoy on a ConfigMap that changes, servers with probes."""

import asyncio
import contextlib
import http.client
import json
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.commands.main import run
from intently_release.config import ReleaseConfig, port_of, read_config
from intently_release.layout import Layout
from intently_release.xds.names import PIN_HEADER
from intently_server.bundle import load_bundle
from support.config_map import Volumes, envoy_of_a_pod
from support.envoy_process import EnvoyProcess, run_folder
from support.in_memory_server import InMemoryServer, in_memory_server
from support.kustomized import FOLDER, Object, built
from support.paths import ROOT
from support.serving import free_address
from support.two_colors import BUNDLES

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
BLUE, GREEN = Color.BLUE, Color.GREEN
OF_THE_POD = ("--bundle", "--address", "--admin-address")  # what a test must say in its own way
READS = "(cluster_manager.cds|listener_manager.lds|http.intently.rds.intently).update_attempt"


def container(name: str) -> Object:
    """The container of a Deployment of the base."""
    [found] = [
        each for each in built(FOLDER / "base") if (each["kind"], each["metadata"]["name"]) == ("Deployment", name)
    ]
    [inner] = found["spec"]["template"]["spec"]["containers"]
    return dict(inner)


def server_flags(color: Color) -> list[str]:
    """The server's arguments by its manifest, on addresses of this host."""
    kept = [flag for flag in container(f"intently-{color}")["args"] if flag.partition("=")[0] not in OF_THE_POD]
    return [*kept, "--admin-address", "127.0.0.1:0"]


@dataclass(frozen=True, slots=True)
class Pods:
    """A server of each color, and Envoy on what was rendered of a ConfigMap."""

    envoy: EnvoyProcess
    volumes: Volumes
    servers: dict[Color, InMemoryServer]
    config_file: Path

    def render(self, *arguments: str) -> None:
        """Renders, and brings it to Envoy's pod as a ConfigMap would."""
        rendered = render(self.config_file, *arguments)
        self.volumes.project(rendered)
        self.envoy.wait_applied(json.loads((rendered / "rds.json").read_text())["version_info"])

    def reads(self) -> dict[str, int]:
        """How often Envoy has read each kind of file."""
        return {name.split(".")[-2]: count for name, count in self.envoy.stats(READS).items()}


def render(config_file: Path, *arguments: str) -> Path:
    """Runs intently-release render; returns the folder."""
    out = config_file.with_name("rendered")
    assert run(["render", "--config", str(config_file), "--out", str(out), *arguments]) == 0
    return out


def configured(folder: Path, endpoints: dict[Color, str]) -> Path:
    """The folder's release.yaml, with addresses and paths of this host."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / "release.yaml").read_text())
    document |= {"run_dir": str(folder / "run"), "metrics": free_address(), "listener": {"address": free_address()}}
    for color, endpoint in endpoints.items():
        document["colors"][color]["endpoints"] = [endpoint]
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@contextlib.contextmanager
def on_a_config_map(folder: Path, config_file: Path) -> Iterator[tuple[EnvoyProcess, Volumes]]:
    """Envoy, started as its manifest says."""
    config: ReleaseConfig = read_config(config_file)
    volumes = Volumes(Layout(config.run_dir), folder / "etc")
    volumes.project(render(config_file))
    with envoy_of_a_pod(config, volumes, container("intently-envoy")["args"]) as envoy:
        yield envoy, volumes


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    """All new calls go to blue; all servers are healthy to Envoy."""
    with run_folder() as folder, contextlib.ExitStack() as stack:
        servers = {
            color: stack.enter_context(in_memory_server(folder, *server_flags(color), name=color, bundle=bundle))
            for color, bundle in BUNDLES.items()
        }
        config_file = configured(folder, {color: f"localhost:{each.endpoint[1]}" for color, each in servers.items()})
        envoy, volumes = stack.enter_context(on_a_config_map(folder, config_file))
        for color in Color:  # the name may have addresses on which nobody listens
            while not envoy.stats(f"^cluster.{color}.membership_healthy$")[f"cluster.{color}.membership_healthy"]:
                pass
        yield Pods(envoy, volumes, servers, config_file)


async def colors_of(pods: Pods, channel: grpc.aio.Channel, calls: int) -> Counter[Color]:
    """Who answers so many calls, one after the other."""
    revisions = {load_bundle(bundle).model.revision: color for color, bundle in BUNDLES.items()}
    intents = IntentServiceStub(channel)
    answers = [await intents.Classify(pb.ClassifyRequest(text="hello"), timeout=20) for _ in range(calls)]
    return Counter(revisions[answer.model.revision] for answer in answers)


async def test_a_shift_is_applied_by_the_swap_of_data(pods: Pods) -> None:
    before = pods.reads()
    async with grpc.aio.insecure_channel(pods.envoy.address) as channel:
        assert set(await colors_of(pods, channel, 20)) == {BLUE}
        for percent, expected in ((50, {BLUE, GREEN}), (100, {GREEN}), (0, {BLUE})):
            under_way = asyncio.ensure_future(colors_of(pods, channel, 50))
            await asyncio.to_thread(pods.render, "--green", str(percent))
            await under_way
            assert set(await colors_of(pods, channel, 100)) == expected

    # The routes alone were read again, and nothing that could cut a stream.
    assert {kind: count - before[kind] for kind, count in pods.reads().items()} == {"cds": 0, "lds": 0, "intently": 3}


def test_the_same_again_is_no_change(pods: Pods) -> None:
    pods.render()
    before = pods.reads()
    pods.render()

    assert pods.reads() == before


def revision_of_the_pinned(pods: Pods) -> str:
    """Asks green, over REST."""
    url = f"http://{pods.envoy.address}/v1/classify"
    asked = urllib.request.Request(url, data=b'{"text": "hello"}', headers={PIN_HEADER: GREEN})
    with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310  # a URL of ours
        return str(json.load(answer)["model"]["revision"])


def test_a_color_can_be_tried_before_it_gets_calls(pods: Pods) -> None:
    pods.render("--green", "0")

    assert revision_of_the_pinned(pods) == load_bundle(BUNDLES[GREEN]).model.revision


def test_what_a_release_is_judged_by_is_told(pods: Pods) -> None:
    revision_of_the_pinned(pods)
    named = set(re.findall(r"`(envoy_\w+)`", (ROOT / "docs" / "kubernetes.md").read_text()))
    with urllib.request.urlopen(f"http://{pods.envoy.config.metrics}/metrics", timeout=10) as answer:
        told = {line.partition("{")[0].removesuffix("_count") for line in answer.read().decode().splitlines()}

    assert named
    assert named <= told


def test_envoys_probes_are_answered(pods: Pods) -> None:
    envoy, config = container("intently-envoy"), pods.envoy.config
    assert config.metrics is not None
    here = {"grpc": port_of(config.listener.address), "metrics": port_of(config.metrics)}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = envoy[name]["httpGet"]
        with urllib.request.urlopen(f"http://127.0.0.1:{here[probe['port']]}{probe['path']}", timeout=10) as answer:
            assert answer.status == http.HTTPStatus.OK


async def test_the_servers_probes_are_answered(pods: Pods) -> None:
    server = container("intently-green")
    async with grpc.aio.insecure_channel(pods.servers[GREEN].address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=server[name]["grpc"]["service"]))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name


def test_the_autoscalers_metric_is_told(pods: Pods, tmp_path: Path) -> None:
    scaled = [
        each for each in built(FOLDER / "overlays" / "many-replicas") if each["kind"] == "HorizontalPodAutoscaler"
    ]
    names = {
        metric["pods"]["metric"]["name"] for each in scaled for metric in each["spec"]["metrics"] if "pods" in metric
    }
    with in_memory_server(tmp_path, *server_flags(GREEN)) as server:
        admin = json.loads((tmp_path / "server.ready").read_text())["admin"]
        with urllib.request.urlopen(f"http://{admin}/metrics", timeout=10) as answer:
            told = {line.partition("{")[0].partition(" ")[0] for line in answer.read().decode().splitlines()}
        assert server.process.poll() is None

    assert names
    assert names <= told


def test_a_server_that_is_told_to_end_ends_in_order(tmp_path: Path) -> None:
    with in_memory_server(tmp_path, *server_flags(GREEN)) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0


async def test_a_color_without_pods_keeps_nobody_from_calling(pods: Pods) -> None:
    with run_folder() as folder:
        config_file = configured(
            folder, {BLUE: f"localhost:{pods.servers[BLUE].endpoint[1]}", GREEN: "nobody.invalid:1"}
        )
        with contextlib.ExitStack() as stack:
            envoy, volumes = await asyncio.to_thread(stack.enter_context, on_a_config_map(folder, config_file))
            alone = Pods(envoy, volumes, pods.servers, config_file)
            async with grpc.aio.insecure_channel(envoy.address) as channel:
                assert set(await colors_of(alone, channel, 20)) == {BLUE}
                await asyncio.to_thread(alone.render, "--green", "100")  # by mistake: blue takes its calls
                assert set(await colors_of(alone, channel, 20)) == {BLUE}
