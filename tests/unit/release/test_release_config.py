"""release.yaml: what it may say, and how clearly it is told what it may not."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from intently_release.colors import Color, all_to, split
from intently_release.config import ReleaseConfig, read_config
from intently_release.errors import ConfigProblem
from support.paths import ROOT


def read(folder: Path, text: str) -> ReleaseConfig:
    """The configuration of a file with this text."""
    path = folder / "release.yaml"
    path.write_text(text)
    return read_config(path)


def test_without_a_file_all_has_defaults() -> None:
    assert read_config(None) == ReleaseConfig()


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == ReleaseConfig()


def test_what_is_said_is_taken(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "listener: {address: '0.0.0.0:443', tls: {folder: /tls}}\n"
        "colors: {green: {endpoints: ['green.local:50051'], discovery: dns}}\n"
        "releasing: {steps: [10, 100], thresholds: {min_requests: 7}}\n",
    )

    assert config.listener.tls is not None
    assert config.listener.tls.certificate == "tls.crt"
    assert config.colors.of(Color.GREEN).discovery == "dns"
    assert config.colors.of(Color.BLUE).endpoints == ("127.0.0.1:50061",)
    assert config.releasing.steps == (10, 100)
    assert config.releasing.thresholds.min_requests == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listner: {}", "listner: Extra inputs"),
        ("traffic: {retires: 3}", "traffic.retires: Extra inputs"),
        ("listener: {address: '50051'}", "listener.address: Value error, '50051' is no HOST:PORT"),
        ("listener: {address: 'localhost:99999'}", "listener.address"),
        ("colors: {blue: {endpoints: []}}", "colors.blue.endpoints"),
        ("colors: {blue: {endpoints: ['127.0.0.1:50062']}}", "both colors have 127.0.0.1:50062"),
        ("releasing: {steps: [50, 25, 100]}", "steps must rise"),
        ("releasing: {steps: [5, 50]}", "steps must rise"),
        ("releasing: {steps: [0, 100]}", "steps must rise"),
        ("releasing: {steps: []}", "steps must rise"),
        ("releasing: {steps: [100]}", "steps must hold a share below 100: the canary is judged there"),
        ("releasing: {thresholds: {bad_share: 2}}", "releasing.thresholds.bad_share"),
        ("servers: {command: []}", "servers.command"),
        ("servers: {max_wait: 1}", "retries would multiply an overload"),
        ("traffic: {per_try_timeout: 11}", "no call would be tried twice"),
        ("traffic: {max_concurrent_streams: 2000}", "Envoy would take healthy ones for ill"),
        ("traffic: {sticky_header: 'X-User'}", "traffic.sticky_header"),
        ("- a list", "must be a mapping"),
        ("listener: {", "is no YAML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith(str(tmp_path / "release.yaml"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match=r"nowhere\.yaml: No such file"):
        read_config(tmp_path / "nowhere.yaml")


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        ReleaseConfig().traffic.retries = 5  # type: ignore[misc]  # the test is that it cannot be done


@pytest.mark.parametrize("percent", range(0, 101, 5))
def test_weights_sum_to_a_hundred(percent: int) -> None:
    weights = split(Color.GREEN, percent)

    assert sum(weights.values()) == 100
    assert weights[Color.GREEN] == percent


@pytest.mark.parametrize("percent", [-1, 101])
def test_no_color_gets_more_than_all(percent: int) -> None:
    with pytest.raises(ValueError, match="no percentage"):
        split(Color.GREEN, percent)


def test_all_can_go_to_one_color() -> None:
    assert all_to(Color.GREEN) == {Color.GREEN: 100, Color.BLUE: 0}
    assert Color.GREEN.other is Color.BLUE
    assert Color.BLUE.other is Color.GREEN


def test_the_file_that_shows_every_knob_has_all_of_them_at_their_defaults() -> None:
    path = ROOT / "envoy" / "release.yaml"

    assert read_config(path) == ReleaseConfig()
    assert _names(yaml.safe_load(path.read_text())) == _names(ReleaseConfig().model_dump(mode="json"))


def test_the_file_of_make_run_can_be_used() -> None:
    assert read_config(ROOT / "envoy" / "local.yaml").servers.flags


def _names(value: object) -> object:
    """The keys of a document, without its values."""
    return {key: _names(each) for key, each in value.items()} if isinstance(value, dict) else None
