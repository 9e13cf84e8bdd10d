"""What is rendered: the same for the same input, weights that sum to 100, and each knob where it belongs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_release.colors import Color, all_to, split
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.checks import check
from intently_release.xds.names import ROUTES, cluster_of, first
from intently_release.xds.snapshot import Snapshot, render, version_of

LAYOUT = Layout(Path("/run/release"))
CONFIG = ReleaseConfig()
BLUE, GREEN = Color.BLUE, Color.GREEN
Json = dict[str, Any]
revisions = st.dictionaries(st.sampled_from(Color), st.text("0123456789abcdef", max_size=8))


def routes_of(snapshot: Snapshot) -> list[Json]:
    """All routes, in order."""
    [configuration] = snapshot.rds["resources"]
    routes: list[Json] = configuration["virtual_hosts"][0]["routes"]
    return routes


def named(snapshot: Snapshot, name: str) -> Json:
    """One route."""
    [route] = [route for route in routes_of(snapshot) if route["name"] == name]
    return route


def cluster(snapshot: Snapshot, name: str) -> Json:
    """One cluster."""
    [found] = [each for each in snapshot.cds["resources"] if each["name"] == name]
    return dict(found)


def manager(snapshot: Snapshot) -> Json:
    """The HTTP connection manager that callers meet."""
    config: Json = snapshot.lds["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def filters(snapshot: Snapshot) -> list[str]:
    """Last parts of their names, in order."""
    return [each["name"].rpartition(".")[2] for each in manager(snapshot)["http_filters"]]


def with_parts(**parts: Any) -> ReleaseConfig:
    """A configuration that says this."""
    return ReleaseConfig.model_validate(parts)


@given(canary=st.sampled_from(Color), percent=st.integers(0, 100), known=revisions, mirrored=st.sampled_from(Color))
def test_whatever_is_rendered_may_be_given_to_envoy(
    canary: Color, percent: int, known: dict[Color, str], mirrored: Color
) -> None:
    config = with_parts(traffic={"mirror_percent": 10, "sticky_header": "x-user"})
    check(render(config, LAYOUT, split(canary, percent), known, mirrored))


@given(canary=st.sampled_from(Color), percent=st.integers(0, 100))
def test_every_weighted_route_has_these_weights(canary: Color, percent: int) -> None:
    weighted = [
        route["route"]["weighted_clusters"]["clusters"]
        for route in routes_of(render(CONFIG, LAYOUT, split(canary, percent)))
        if "weighted_clusters" in route["route"]
    ]

    assert len(weighted) == 10
    for clusters in weighted:
        assert {each["name"]: each["weight"] for each in clusters} == {
            first(canary): percent,
            first(canary.other): 100 - percent,
        }


@given(canary=st.sampled_from(Color), percent=st.integers(0, 100), known=revisions)
def test_the_same_input_renders_the_same_text(canary: Color, percent: int, known: dict[Color, str]) -> None:
    """Whatever the order in which the dictionaries were filled."""
    weights = split(canary, percent)
    turned = dict(reversed(weights.items())), dict(reversed(known.items()))

    one, other = render(CONFIG, LAYOUT, weights, known), render(CONFIG, LAYOUT, *turned)

    for kind in ("bootstrap", "lds", "cds", "rds"):
        assert json.dumps(getattr(one, kind)) == json.dumps(getattr(other, kind))


def test_only_the_routes_change_with_weights_revisions_and_mirror() -> None:
    config = with_parts(traffic={"mirror_percent": 10})
    before = render(config, LAYOUT, all_to(BLUE))
    for after in (
        render(config, LAYOUT, split(GREEN, 5)),
        render(config, LAYOUT, all_to(BLUE), {GREEN: "b"}),
        render(config, LAYOUT, all_to(BLUE), mirror_to=GREEN),
    ):
        assert (after.bootstrap, after.lds, after.cds) == (before.bootstrap, before.lds, before.cds)
        assert after.rds["version_info"] != before.rds["version_info"]


@pytest.mark.parametrize("kind", ["lds", "cds", "rds"])
def test_a_version_is_the_hash_of_its_resources(kind: str) -> None:
    document = getattr(render(CONFIG, LAYOUT, all_to(BLUE)), kind)

    assert document["version_info"] == version_of(document["resources"])
    assert document["version_info"] != version_of([*document["resources"], {}])


def test_a_version_does_not_hang_on_the_order_of_keys() -> None:
    assert version_of([{"a": 1, "b": 2}]) == version_of([{"b": 2, "a": 1}])


def test_the_pin_comes_first_then_the_revision_then_the_weights() -> None:
    names = [route["name"] for route in routes_of(render(CONFIG, LAYOUT, all_to(BLUE), {BLUE: "a", GREEN: "b"}))]

    kinds = list(dict.fromkeys(name.partition("/")[0] for name in names))
    assert kinds == ["pin-blue", "pin-green", "revision-blue", "revision-green", "weighted"]
    asked = [
        [each["name"] for each in route["match"]["headers"]]
        for route in routes_of(render(CONFIG, LAYOUT, all_to(BLUE)))
    ]
    assert all(":path" in names for names in asked)
    assert all("grpc-encoding" in names for names in asked)
    assert sum(len(names) > 2 for names in asked) == 20


def test_a_revision_that_both_serve_follows_the_weights() -> None:
    assert render(CONFIG, LAYOUT, all_to(BLUE), {BLUE: "a", GREEN: "a"}) == render(CONFIG, LAYOUT, all_to(BLUE))


def test_a_revision_that_is_not_known_has_no_route() -> None:
    assert render(CONFIG, LAYOUT, all_to(BLUE), {BLUE: "", GREEN: ""}) == render(CONFIG, LAYOUT, all_to(BLUE))


def test_each_kind_of_method_has_its_own_times() -> None:
    snapshot = render(CONFIG, LAYOUT, all_to(BLUE))
    service = "weighted/intently.v1.IntentService"
    classify, batch, stream = (
        named(snapshot, f"{service}/{method}")["route"] for method in ("Classify", "BatchClassify", "ClassifyStream")
    )

    assert (classify["timeout"], classify["retry_policy"]["per_try_timeout"]) == ("10s", "1s")
    assert (batch["timeout"], stream["timeout"]) == ("60s", "0s")
    for untimed in (batch, stream, named(snapshot, "weighted/grpc.health.v1.Health/Watch")["route"]):
        assert "per_try_timeout" not in untimed["retry_policy"]


def test_only_what_follows_the_weights_falls_back_to_the_other_color() -> None:
    for route in routes_of(render(CONFIG, LAYOUT, all_to(BLUE), {BLUE: "a", GREEN: "b"})):
        falls_back = "retry_priority" in route["route"]["retry_policy"]
        assert falls_back is route["name"].startswith("weighted")
        assert falls_back is ("weighted_clusters" in route["route"])


@pytest.mark.parametrize(("percent", "to", "mirrored"), [(0, GREEN, False), (10, None, False), (10, GREEN, True)])
def test_single_calls_are_mirrored_where_both_say_so(percent: int, to: Color | None, mirrored: bool) -> None:
    snapshot = render(with_parts(traffic={"mirror_percent": percent}), LAYOUT, all_to(BLUE), mirror_to=to)

    with_mirror = [route["name"] for route in routes_of(snapshot) if "request_mirror_policies" in route["route"]]
    assert with_mirror == (["weighted/intently.v1.IntentService/Classify"] if mirrored else [])
    if mirrored:
        [policy] = named(snapshot, with_mirror[0])["route"]["request_mirror_policies"]
        assert policy["cluster"] == "green"
        assert policy["runtime_fraction"]["default_value"]["numerator"] == percent


def test_users_stay_only_where_a_header_is_named() -> None:
    sticky = named(
        render(with_parts(traffic={"sticky_header": "x-user"}), LAYOUT, all_to(BLUE)),
        "weighted/intently.v1.IntentService/ClassifyStream",
    )["route"]
    plain = named(render(CONFIG, LAYOUT, all_to(BLUE)), "weighted/intently.v1.IntentService/Classify")["route"]

    assert sticky["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    assert sticky["weighted_clusters"]["use_hash_policy"] is True
    assert "hash_policy" not in plain
    assert "use_hash_policy" not in plain["weighted_clusters"]


def test_limits_come_from_the_configuration() -> None:
    config = with_parts(
        listener={"max_concurrent_streams": 17, "max_connections": 18},
        traffic={"max_concurrent_streams": 19, "max_waiting": 20, "max_streams": 21, "retries": 4},
    )
    snapshot = render(config, LAYOUT, all_to(BLUE))

    assert manager(snapshot)["http2_protocol_options"]["max_concurrent_streams"] == 17
    [monitor] = snapshot.bootstrap["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 18
    for color in Color:
        [options] = cluster(snapshot, cluster_of(color))["typed_extension_protocol_options"].values()
        assert options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] == 19
        for name in (cluster_of(color), first(color)):
            calls, streams = cluster(snapshot, name)["circuit_breakers"]["thresholds"]
            assert (calls["priority"], calls["max_connections"], calls["max_pending_requests"]) == ("DEFAULT", 1, 20)
            assert (streams["priority"], streams["max_requests"], streams["max_pending_requests"]) == ("HIGH", 21, 21)
    assert {route["route"]["retry_policy"]["num_retries"] for route in routes_of(snapshot)} == {4}


def test_servers_are_told_since_when_every_call_waits_for_how_long_and_which_try_it_is() -> None:
    [configuration] = render(CONFIG, LAYOUT, split(GREEN, 5)).rds["resources"]
    [host] = configuration["virtual_hosts"]
    added = [*host["request_headers_to_add"], *(route["request_headers_to_add"][0] for route in host["routes"])]

    assert {(each["header"]["key"], each["header"]["value"], each["append_action"]) for each in added} == {
        ("x-request-start", "t=%START_TIME(%s.%3f)%", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("x-intently-timeout", "%REQ(grpc-timeout)%", "OVERWRITE_IF_EXISTS_OR_ADD"),
    }
    assert all(route["request_headers_to_remove"] == ["x-intently-timeout"] for route in host["routes"])
    assert host["include_request_attempt_count"] is True


def test_a_caller_s_timeout_never_passes_in_a_server_s_grpc() -> None:
    for route in routes_of(render(CONFIG, LAYOUT, split(GREEN, 5))):
        assert route["request_headers_to_add"][1:] == [
            {"header": {"key": "grpc-timeout", "value": "99999999S"}, "append_action": "OVERWRITE_IF_EXISTS"}
        ]


def test_a_call_whose_rest_never_comes_ends_as_one_that_is_not_answered() -> None:
    config = with_parts(traffic={"timeout": 7, "batch_timeout": 70})
    limits = {
        route["match"]["path"].rpartition("/")[2]: [
            route["route"]["timeout"],
            *(route["route"].get(name) for name in ("idle_timeout", "max_stream_duration")),
        ]
        for route in routes_of(render(config, LAYOUT, all_to(BLUE)))
    }

    assert limits["Classify"] == limits["GetModel"] == ["7s", "8s", None]
    assert limits["BatchClassify"] == ["70s", "71s", None]
    assert limits["ClassifyStream"] == ["0s", None, None]


def test_a_color_falls_back_to_the_other() -> None:
    snapshot = render(CONFIG, LAYOUT, all_to(BLUE))

    assert [each["name"] for each in snapshot.cds["resources"]] == ["blue", "green", "blue-first", "green-first"]
    for color in Color:
        members = cluster(snapshot, first(color))["cluster_type"]["typed_config"]["clusters"]
        assert members == [color.value, color.other.value]


@pytest.mark.parametrize(
    ("servers", "kind"),
    [
        ({"endpoints": ["127.0.0.1:1", "[::1]:2"]}, "STATIC"),
        ({"endpoints": ["127.0.0.1:1"], "discovery": "dns"}, "STRICT_DNS"),
        ({"endpoints": ["blue.local:1"], "discovery": "dns"}, "STRICT_DNS"),
        ({"endpoints": ["localhost:1"]}, "STRICT_DNS"),
    ],
)
def test_names_are_resolved_and_addresses_taken_as_they_are(servers: Json, kind: str) -> None:
    blue = cluster(render(with_parts(colors={"blue": servers}), LAYOUT, all_to(BLUE)), "blue")
    [group] = blue["load_assignment"]["endpoints"]
    found = [each["endpoint"]["address"]["socket_address"] for each in group["lb_endpoints"]]

    assert blue["type"] == kind
    assert blue["load_assignment"]["cluster_name"] == "blue"
    joined = [f"{each['address']}:{each['port_value']}" for each in found]
    assert joined == [address.replace("[", "").replace("]", "") for address in servers["endpoints"]]


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ({}, ["health_check", "grpc_web", "grpc_json_transcoder", "grpc_stats", "router"]),
        ({"rest": False}, ["health_check", "grpc_web", "grpc_stats", "router"]),
        ({"rest": False, "grpc_web": False}, ["health_check", "grpc_stats", "router"]),
        (
            {"cors_origins": ["https://a.example"]},
            ["health_check", "cors", "grpc_web", "grpc_json_transcoder", "grpc_stats", "router"],
        ),
    ],
)
def test_a_call_goes_through_what_is_switched_on(listener: Json, expected: list[str]) -> None:
    assert filters(render(with_parts(listener=listener), LAYOUT, all_to(BLUE))) == expected


def test_pages_are_allowed_by_the_routes_alone() -> None:
    config = with_parts(listener={"cors_origins": ["https://a.example"]}, traffic={"sticky_header": "x-user"})
    [configuration] = render(config, LAYOUT, all_to(BLUE)).rds["resources"]
    [host] = configuration["virtual_hosts"]
    [policy] = host["typed_per_filter_config"].values()

    assert policy["allow_origin_string_match"] == [{"exact": "https://a.example"}]
    assert "x-user" in policy["allow_headers"].split(",")
    assert host["routes"][-1]["match"] == {"prefix": "/v1/"}
    [closed] = render(CONFIG, LAYOUT, all_to(BLUE)).rds["resources"]
    assert "typed_per_filter_config" not in closed["virtual_hosts"][0]
    assert configuration["name"] == closed["name"] == ROUTES


def test_a_port_is_envoys_alone_and_its_workers_share_it() -> None:
    snapshot = render(CONFIG, LAYOUT, all_to(BLUE))

    for listener in (snapshot.lds["resources"][0], *snapshot.bootstrap["static_resources"]["listeners"]):
        assert listener["enable_reuse_port"] is False
        assert listener["connection_balance_config"] == {"exact_balance": {}}


@pytest.mark.parametrize(("pins", "taken_off"), [(True, []), (False, ["x-intently-release", "x-intently-revision"])])
def test_callers_headers_choose_a_color_only_where_they_may(pins: bool, taken_off: list[str]) -> None:
    config = with_parts(listener={"pins": pins, "cors_origins": ["https://a.example"]})
    snapshot = render(config, LAYOUT, all_to(BLUE))
    public, operators = (
        listener["filter_chains"][0]["filters"][0]["typed_config"] for listener in snapshot.lds["resources"]
    )
    mutations = [each["typed_config"]["mutations"] for each in public.get("early_header_mutation_extensions", ())]
    [policy] = snapshot.rds["resources"][0]["virtual_hosts"][0]["typed_per_filter_config"].values()

    assert [each["remove"] for mutation in mutations for each in mutation] == taken_off
    assert "early_header_mutation_extensions" not in operators
    assert ("x-intently-release" in policy["allow_headers"].split(",")) is pins


def test_prometheus_may_ask_only_where_an_address_is_given() -> None:
    [listener] = render(CONFIG, LAYOUT, all_to(BLUE)).bootstrap["static_resources"]["listeners"]

    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9902}
    assert render(with_parts(metrics=None), LAYOUT, all_to(BLUE)).bootstrap["static_resources"] == {}


def test_without_tls_there_are_no_secrets() -> None:
    snapshot = render(CONFIG, LAYOUT, all_to(BLUE))

    assert snapshot.secrets == {}
    assert "transport_socket" not in snapshot.lds["resources"][0]["filter_chains"][0]


def test_certificates_are_watched_where_they_lie(tmp_path: Path) -> None:
    tls = {"folder": str(tmp_path / "tls"), "certificate": "chain.pem", "key": "key.pem"}
    (tmp_path / "tls").mkdir()
    snapshot = render(with_parts(listener={"tls": tls}), LAYOUT, all_to(BLUE))

    assert set(snapshot.secrets) == {"certificate"}
    [secret] = snapshot.secrets["certificate"]["resources"]
    pair = secret["tls_certificate"]
    assert pair["certificate_chain"] == {"filename": str(tmp_path / "tls" / "chain.pem")}
    assert pair["private_key"] == {"filename": str(tmp_path / "tls" / "key.pem")}
    assert pair["watched_directory"] == {"path": str(tmp_path / "tls")}
    config = snapshot.lds["resources"][0]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert "require_client_certificate" not in config


def test_a_link_to_the_folder_is_watched_where_the_link_is_swapped(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "tls").symlink_to(tmp_path / "v1")
    tls = {"folder": str(tmp_path / "tls"), "client_ca": "ca.pem"}
    snapshot = render(with_parts(listener={"tls": tls}), LAYOUT, all_to(BLUE))

    watched = {str(each["watched_directory"]["path"]) for each in watching(snapshot)}
    assert watched == {str(tmp_path)}
    config = snapshot.lds["resources"][0]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert config["require_client_certificate"] is True


def watching(snapshot: Snapshot) -> Iterator[Json]:
    """The parts of secrets that are watched."""
    for document in snapshot.secrets.values():
        for secret in document["resources"]:
            yield secret.get("tls_certificate") or secret["validation_context"]


@given(seconds=st.floats(0, 86_400, exclude_min=True))
def test_times_are_written_as_envoy_reads_them(seconds: float) -> None:
    config = with_parts(traffic={"batch_timeout": seconds})
    route = named(render(config, LAYOUT, all_to(BLUE)), "weighted/intently.v1.IntentService/BatchClassify")
    written: str = route["route"]["timeout"]

    assert written.endswith("s")
    assert "e" not in written
    assert float(written[:-1]) > 0  # which would be for ever
    assert abs(float(written[:-1]) - seconds) <= 0.001
