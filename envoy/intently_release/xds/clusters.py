"""Clusters: each color's servers, and one cluster for each color that falls back to the other.

Weighted clusters never fall back by themselves. So a route's weights are over `blue-first` and `green-first`, which are
aggregates: a retry of a call that one color could not answer goes to the other (see `routes`).
"""

import ipaddress
import math

from intently_release.colors import Color
from intently_release.config import ReleaseConfig, host_of
from intently_release.config.traffic import Health
from intently_release.xds.names import CALLS, INTENT_SERVICE, STREAMS, cluster_of, first
from intently_release.xds.typed import CLUSTER_TYPE, Json, extension, seconds, socket_address, typed

_CONNECT_TIMEOUT_S = 0.5
_MAX_CONNECTIONS = 10_000
_ONE_CONNECTION = 1  # from each of Envoy's threads to each server, or to each of its front ends
_MOST_CALLS = 100_000  # never reached: connections have fewer streams
# A color keeps its calls while one of its servers in a thousand is well. With Envoy's default, 140 %, it gives some of
# them to the other color once under 72 % are: 30 % with one of two, though that be a canary that nobody has judged.
_NO_SPILLING = 100_000
_MIN_RETRIES = 200  # at once, however few calls there are
_KEEPALIVE = {"interval": "2s", "timeout": "1s"}  # what a server that hangs is noticed by, on streams that are open


def clusters(config: ReleaseConfig) -> list[Json]:
    """All clusters, in the order in which they are added."""
    return [*(_servers(config, color) for color in Color), *(_with_fallback(config, color) for color in Color)]


def _servers(config: ReleaseConfig, color: Color) -> Json:
    health = config.traffic.health
    return typed(
        CLUSTER_TYPE,
        name=cluster_of(color),
        connect_timeout=seconds(_CONNECT_TIMEOUT_S),
        lb_policy="LEAST_REQUEST",
        common_lb_config=_balancing(config, color),
        health_checks=[_health_check(health)],
        outlier_detection=_outlier_detection(health),
        circuit_breakers=_breakers(config),
        typed_extension_protocol_options=_http2(config, color),
        **_discovery(config, color),
    )


def _balancing(config: ReleaseConfig, color: Color) -> Json:
    # With a panic threshold, calls would go to servers that are known to be ill rather than to the other color.
    common: Json = {"healthy_panic_threshold": {"value": 0}}
    if config.front_ends_of(color) > 1:
        # Front ends come and go together. Envoy's threads would be told of the first, and of the others a second later:
        # when a server leaves, that is after its drain has begun.
        common["update_merge_window"] = "0s"
    return common


def _discovery(config: ReleaseConfig, color: Color) -> Json:
    servers = config.colors.of(color)
    endpoints = [{"endpoint": {"address": socket_address(address)}} for address in config.called_at(color)]
    assignment = {
        "cluster_name": cluster_of(color),
        "endpoints": [{"lb_endpoints": endpoints}],
        "policy": {"overprovisioning_factor": _NO_SPILLING},
    }
    named = any(not _is_ip(host_of(address)) for address in servers.endpoints)
    if named or servers.discovery == "dns":
        return {"type": "STRICT_DNS", "dns_lookup_family": "ALL", "load_assignment": assignment}
    return {"type": "STATIC", "load_assignment": assignment}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _health_check(health: Health) -> Json:
    return {
        "interval": seconds(health.interval),
        "no_traffic_interval": seconds(health.interval),
        "timeout": seconds(health.timeout),
        "unhealthy_threshold": health.unhealthy_threshold,
        "healthy_threshold": health.healthy_threshold,
        "grpc_health_check": {"service_name": INTENT_SERVICE},
    }


def _outlier_detection(health: Health) -> Json:
    return {
        "consecutive_gateway_failure": health.consecutive_gateway_failures,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_5xx": health.consecutive_5xx,
        "consecutive_local_origin_failure": health.consecutive_local_origin_failures,
        "split_external_local_origin_errors": True,
        "interval": seconds(health.interval),
        "base_ejection_time": seconds(health.base_ejection_time),
        "max_ejection_time": seconds(health.max_ejection_time),
        "max_ejection_percent": 100,
        "enforcing_success_rate": 0,
        # Otherwise a server that answers health checks and fails calls comes back at once, again and again.
        "successful_active_health_check_uneject_host": False,
    }


def _breakers(config: ReleaseConfig) -> Json:
    """Calls wait for one connection; streams, which last, have as many as they need. Each is bounded by itself.

    With more connections all calls would be at the servers at once: one that cannot even look at them in time fails
    tries and health checks, and is taken out for being loaded.
    """
    traffic = config.traffic
    return {
        "thresholds": [
            _threshold(CALLS, _ONE_CONNECTION, _MOST_CALLS, traffic.max_waiting),
            _threshold(STREAMS, _MAX_CONNECTIONS, traffic.max_streams, traffic.max_streams),
        ]
    }


def _threshold(priority: str, connections: int, requests: int, waiting: int) -> Json:
    return {
        "priority": priority,
        "max_connections": connections,
        "max_pending_requests": waiting,
        "max_requests": requests,
        "track_remaining": True,  # tells how many calls are under way, which no statistic tells apart from streams
        "retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": _MIN_RETRIES},
    }


def _http2(config: ReleaseConfig, color: Color) -> Json:
    """Front ends share out what a server has at once as its engine does what it works on; rounded up, as there."""
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "max_concurrent_streams": math.ceil(config.traffic.max_concurrent_streams / config.front_ends_of(color)),
        "connection_keepalive": _KEEPALIVE,
    }
    return {name: typed(name, explicit_http_config={"http2_protocol_options": options})}


def _with_fallback(config: ReleaseConfig, color: Color) -> Json:
    return typed(
        CLUSTER_TYPE,
        name=first(color),
        connect_timeout=seconds(_CONNECT_TIMEOUT_S),
        lb_policy="CLUSTER_PROVIDED",
        circuit_breakers=_breakers(config),
        cluster_type=extension(
            "envoy.clusters.aggregate",
            "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
            clusters=[cluster_of(color), cluster_of(color.other)],
        ),
    )
