"""What is made of the answers of Envoy's admin socket that a running one rarely gives."""

import json
from typing import Any

import pytest

from intently_release.colors import Color
from intently_release.proxy import answers
from intently_release.proxy.answers import Hosts


def dump(*weights: dict[str, int], name: str = "intently") -> bytes:
    """Routes with these weights by cluster, after one that has none."""
    weighted = [
        {"route": {"weighted_clusters": {"clusters": [{"name": key, "weight": value} for key, value in each.items()]}}}
        for each in weights
    ]
    routes: list[dict[str, Any]] = [{"route": {"cluster": "blue"}}, {"direct_response": {"status": 404}}, *weighted]
    config = {"name": name, "virtual_hosts": [{"routes": routes}]}
    return json.dumps({"configs": [{"version_info": "v1", "route_config": config}]}).encode()


def clusters(**statuses: list[dict[str, Any]]) -> bytes:
    """Hosts with these health statuses by cluster."""
    all_of = [
        {"name": name, "host_statuses": [{"health_status": status} for status in each]}
        for name, each in statuses.items()
    ]
    return json.dumps({"cluster_statuses": all_of}).encode()


def test_weights_are_those_that_all_routes_agree_on() -> None:
    agreed = {"blue-first": 95, "green-first": 5}

    assert answers.routes(dump(agreed, agreed)) == ("v1", {Color.BLUE: 95, Color.GREEN: 5})


def test_routes_that_disagree_have_no_weights() -> None:
    one, other = {"blue-first": 95, "green-first": 5}, {"blue-first": 5, "green-first": 95}

    assert answers.routes(dump(one, other)) == ("v1", None)
    assert answers.routes(dump()) == ("v1", None)


def test_routes_of_another_name_are_not_ours() -> None:
    assert answers.routes(dump({"blue-first": 100}, name="others")) == ("", None)
    assert answers.routes(b"{}") == ("", None)


def test_listeners_that_envoy_refused_are_named() -> None:
    error = {"error_state": {"details": "cannot bind"}}
    configs: list[dict[str, Any]] = [{"name": "one", **error}, {"name": "two", "active_state": {}}, error]

    assert answers.refused_listeners(json.dumps({"configs": configs}).encode()) == {"one": "cannot bind"}
    assert answers.refused_listeners(b"{}") == {}


@pytest.mark.parametrize(
    "fault",
    [
        {"failed_active_health_check": True},
        {"failed_outlier_check": True},
        {"failed_active_degraded_check": True},
        {"pending_active_hc": True},
        {"excluded_via_immediate_hc_fail": True},
        {"eds_health_status": "UNHEALTHY"},
        {"eds_health_status": "DRAINING"},
    ],
)
def test_a_host_is_healthy_that_nothing_speaks_against(fault: dict[str, Any]) -> None:
    found = answers.hosts(clusters(green=[{"eds_health_status": "HEALTHY"}, {}, fault]))

    assert found == {Color.GREEN: Hosts(2, 3, int("failed_outlier_check" in fault))}


def test_a_host_that_is_about_to_go_is_not_counted() -> None:
    assert answers.hosts(clusters(blue=[{}, {"pending_dynamic_removal": True}])) == {Color.BLUE: Hosts(1, 1, 0)}


def test_other_clusters_are_nobodys() -> None:
    assert answers.hosts(clusters(admin=[{}])) == {}
    assert answers.hosts(b"{}") == {}


def test_statistics_are_told_apart() -> None:
    totals = [{"lower_bound": 30, "width": 1, "count": 2}, {"lower_bound": 4, "width": 0.1, "count": 9}]
    body = {
        "stats": [
            {"name": "a.version_text", "value": "v1"},
            {"name": "b", "value": 7},
            {"histograms": {"supported_percentiles": [50], "details": [{"name": "c", "totals": totals}]}},
        ]
    }

    found = answers.measured(json.dumps(body).encode())

    assert (found.texts, found.counts) == ({"a.version_text": "v1"}, {"b": 7})
    assert [(bucket.low, bucket.count) for bucket in found.histograms["c"].buckets] == [(4, 9), (30, 2)]
