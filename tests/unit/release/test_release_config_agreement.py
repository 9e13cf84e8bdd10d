"""release.yaml: parts of which each is right and that cannot be right together."""

from pathlib import Path

import pytest

from intently_release.config import ReleaseConfig, read_config
from intently_release.errors import ConfigProblem
from support.paths import ROOT


def read(folder: Path, text: str) -> ReleaseConfig:
    """The configuration of a file with this text."""
    path = folder / "release.yaml"
    path.write_text(text)
    return read_config(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: 127.0.0.1:50051", "metrics (127.0.0.1:50051) is where callers come in"),
        ("metrics: 0.0.0.0:50051", "metrics (0.0.0.0:50051) is where callers come in"),
        ("metrics: localhost:50051", "metrics (localhost:50051) is where callers come in"),
        ("listener: {address: '127.0.0.1:50061'}", "listener.address (127.0.0.1:50061) is also an endpoint of blue"),
        ("listener: {address: '0.0.0.0:50062'}", "listener.address (0.0.0.0:50062) is also an endpoint of green"),
        ("metrics: '[::]:50062'", "metrics ([::]:50062) is also an endpoint of green (127.0.0.1:50062)"),
        ("colors: {blue: {endpoints: ['a:1', 'b:1', 'a:1']}}", "endpoints has a:1 twice"),
        ("servers: {drain_delay: 0.9}", "servers.drain_delay (0.9 s) is below the 1 s that Envoy needs"),
        ("traffic: {health: {interval: 3}}", "servers.drain_delay (2 s) is below the 6 s that Envoy needs"),
        ("releasing: {dwell: 130}", "releasing.dwell (130 s) is over releasing.patience (120 s)"),
    ],
)
def test_what_contradicts_itself_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        read(tmp_path, text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{metrics: null, listener: {address: '0.0.0.0:50051'}, colors: {blue: {endpoints: ['blue.local:50051']}}}",
        "{metrics: '127.0.0.2:50051'}",
        "{servers: {drain_delay: 1}}",
        "{releasing: {dwell: 120}}",
    ],
)
def test_what_only_looks_like_a_contradiction_is_taken(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)


def test_the_configuration_of_kubernetes_can_be_used() -> None:
    assert read_config(ROOT / "envoy" / "kubernetes" / "release.yaml").listener.address == "0.0.0.0:50051"
