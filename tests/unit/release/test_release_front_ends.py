"""Servers with several front ends: their ports, their command lines, and what Envoy is told of them."""

from pathlib import Path
from typing import Any

import pytest

from intently_release.colors import Color, all_to
from intently_release.config import ReleaseConfig, read_config
from intently_release.errors import ConfigProblem
from intently_release.layout import Layout
from intently_release.state import Slot
from intently_release.supervise.program import server_program
from intently_release.xds.checks import check
from intently_release.xds.snapshot import render

LAYOUT = Layout(Path("/run/release"))
SLOT = Slot(bundle=Path("/bundles/one"), revision="aa")
APART = {"blue": {"endpoints": ["127.0.0.1:7000", "[::1]:7100"]}, "green": {"endpoints": ["127.0.0.1:7200"]}}


def configured(front_ends: int = 2, **parts: Any) -> ReleaseConfig:
    """Three servers, far enough apart."""
    return ReleaseConfig.model_validate({"colors": APART, "servers": {"front_ends": front_ends}, **parts})


def cluster(config: ReleaseConfig, color: Color) -> dict[str, Any]:
    """The one of a color's servers; all of the snapshot may be given to Envoy."""
    snapshot = render(config, LAYOUT, all_to(Color.BLUE))
    check(snapshot)
    [found] = [each for each in snapshot.cds["resources"] if each["name"] == color]
    return dict(found)


def called(found: dict[str, Any]) -> list[tuple[str, int]]:
    """Hosts and ports of a cluster."""
    [group] = found["load_assignment"]["endpoints"]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in group["lb_endpoints"]]
    return [(each["address"], each["port_value"]) for each in addresses]


def streams_of(found: dict[str, Any]) -> int:
    """How many calls one connection of a cluster has at once."""
    [options] = found["typed_extension_protocol_options"].values()
    return int(options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"])


def test_envoy_calls_each_front_end_where_it_listens_by_itself() -> None:
    config = configured(2)

    assert called(cluster(config, Color.BLUE)) == [
        ("127.0.0.1", 7001),
        ("127.0.0.1", 7002),
        ("::1", 7101),
        ("::1", 7102),
    ]
    assert called(cluster(config, Color.GREEN)) == [("127.0.0.1", 7201), ("127.0.0.1", 7202)]


def test_pods_behind_one_name_are_asked_for_by_each_port() -> None:
    green = {"endpoints": ["green.local:50051"], "discovery": "dns", "front_ends": 3}
    found = cluster(ReleaseConfig.model_validate({"colors": {"green": green}}), Color.GREEN)

    assert found["type"] == "STRICT_DNS"
    assert called(found) == [("green.local", port) for port in (50052, 50053, 50054)]


@pytest.mark.parametrize(("front_ends", "each"), [(1, 64), (2, 32), (3, 22), (4, 16), (64, 1), (100, 1)])
def test_front_ends_share_out_what_a_server_has_at_once(front_ends: int, each: int) -> None:
    config = configured(1, colors={**APART, "green": {"endpoints": ["127.0.0.1:7200"], "front_ends": front_ends}})

    assert streams_of(cluster(config, Color.GREEN)) == each
    assert streams_of(cluster(config, Color.BLUE)) == 64


def test_what_is_counted_for_a_whole_color_stays_as_it_is() -> None:
    one, two = (cluster(configured(count), Color.BLUE) for count in (1, 2))

    for found in (one, two):
        for name in ("load_assignment", "typed_extension_protocol_options", "common_lb_config"):
            del found[name]
    assert one == two


def test_envoy_tells_its_threads_of_each_front_end_at_once() -> None:
    """By default, of a second one that leaves within a second only at the end of that."""
    one, two = (cluster(configured(count), Color.BLUE)["common_lb_config"] for count in (1, 2))

    assert two == {**one, "update_merge_window": "0s"}


def test_one_front_end_is_what_servers_have() -> None:
    assert configured(1) == ReleaseConfig.model_validate({"colors": APART})
    program = server_program(configured(1), LAYOUT, Color.BLUE, 0, SLOT)
    assert not [each for each in program.arguments if each.startswith("--front-end")]
    assert called(cluster(configured(1), Color.BLUE)) == [("127.0.0.1", 7000), ("::1", 7100)]


def test_a_server_is_told_how_many_and_where() -> None:
    program = server_program(configured(3), LAYOUT, Color.BLUE, 1, SLOT)

    told = program.arguments[program.arguments.index("--address") :]
    assert told[:6] == ("--address", "[::1]:7100", "--front-ends", "3", "--front-end-port", "7101")


def test_a_server_with_another_number_does_not_go_on() -> None:
    """Envoy would call it where it does not listen."""
    one, two = (server_program(configured(count), LAYOUT, Color.BLUE, 0, SLOT) for count in (1, 2))

    assert not two.serves_as(one)
    assert not one.serves_as(two)
    assert two.serves_as(server_program(configured(2), LAYOUT, Color.BLUE, 0, SLOT))
    assert two.where == "on 127.0.0.1:7000 by 2 front ends"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servers: {front_ends: 0}", "servers.front_ends: Input should be greater than 0"),
        ("servers: {front_end: 2}", "servers.front_end: Extra inputs"),
        ("colors: {blue: {endpoints: ['127.0.0.1:1'], front_ends: 0}}", "colors.blue.front_ends"),
        (
            "servers: {front_ends: 2}",
            "the server on 127.0.0.1:50061 takes the 2 ports after that too, and 127.0.0.1:50062 is also an endpoint "
            "of green (127.0.0.1:50062)",
        ),
        ("colors: {green: {endpoints: ['localhost:50058'], front_ends: 3}}", "localhost:50061 is also an endpoint of"),
        (
            "{servers: {front_ends: 4}, colors: {green: {endpoints: ['127.0.0.1:1', '127.0.0.1:4']}}}",
            "127.0.0.1:4 is also an endpoint of green",
        ),
        (
            "{listener: {address: '0.0.0.0:50064'}, colors: {green: {endpoints: ['127.0.0.1:50062'], front_ends: 2}}}",
            "127.0.0.1:50064 is also listener.address (0.0.0.0:50064)",
        ),
        (
            "{metrics: '127.0.0.1:50063', colors: {green: {endpoints: ['127.0.0.1:50062'], front_ends: 2}}}",
            "127.0.0.1:50063 is also metrics (127.0.0.1:50063)",
        ),
        ("colors: {green: {endpoints: ['127.0.0.1:65534'], front_ends: 2}}", "and there are not so many"),
        ("servers: {flags: ['--front-ends', '2']}", "servers.front_ends tells both"),
        ("servers: {flags: ['--front-end-port=1']}", "servers.front_ends tells both"),
        ("servers: {env: {INTENTLY_FRONT_ENDS: '2'}}", "servers.front_ends tells both"),
        ("servers: {env: {intently_front_ends: '2'}}", "servers.front_ends tells both"),
        ("colors: {green: {endpoints: ['a:1'], env: {INTENTLY_FRONT_END_PORT: '2'}}}", "servers.front_ends tells both"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(text)

    with pytest.raises(ConfigProblem) as caught:
        read_config(path)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ports_of_other_hosts_are_theirs() -> None:
    colors = {"blue": {"endpoints": ["a:50051", "b:50052"]}, "green": {"endpoints": ["c:50050"]}}

    assert len(configured(2, colors=colors).called_at(Color.BLUE)) == 4
