"""docs/releases.md: its systemd unit leaves alone what a killed `up` has started, and waits for the drain."""

import re
from configparser import RawConfigParser

from intently_release.colors import Color
from intently_release.commands.arguments import parser
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.supervise.place import envoy_place, server_place
from support.paths import ROOT

LAYOUT = Layout(ROOT)


def unit() -> RawConfigParser:
    """The unit."""
    [text] = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "releases.md").read_text(encoding="utf-8"), re.DOTALL)
    parsed = RawConfigParser()
    parsed.optionxform = str  # type: ignore[method-assign,assignment]  # keys are told apart by their case
    parsed.read_string(text)
    return parsed


def test_only_up_is_told_to_end_and_it_alone_is_started_again() -> None:
    service = unit()["Service"]

    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "always"
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_it_waits_until_all_have_drained() -> None:
    config = ReleaseConfig()
    servers = server_place(config, LAYOUT, LAYOUT.ready(Color.BLUE, 0)).ends_within_s

    assert float(unit()["Service"]["TimeoutStopSec"]) > servers + envoy_place(LAYOUT).ends_within_s


def test_its_command_can_be_read() -> None:
    _, *arguments = unit()["Service"]["ExecStart"].split()

    options = parser().parse_args(arguments)
    assert options.command == "up"
    assert options.bundle is None  # what was released last is what starts again
