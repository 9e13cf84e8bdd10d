"""The listener that Prometheus asks: one path of the admin socket, and nothing else of it."""

from intently_release.layout import Layout
from intently_release.xds.typed import ALONE, Json, extension, socket_address

_CLUSTER = "admin"
_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def metrics_listener(address: str) -> Json:
    """`GET /metrics`, at this HOST:PORT."""
    only_get = {"name": ":method", "string_match": {"exact": "GET"}}
    route = {
        "match": {"path": "/metrics", "headers": [only_get]},
        "route": {"cluster": _CLUSTER, "prefix_rewrite": "/stats/prometheus"},
    }
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        _MANAGER,
        stat_prefix="metrics",
        http_filters=[extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")],
        route_config={"name": "metrics", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    )
    return {
        "name": "metrics",
        "address": socket_address(address),
        "filter_chains": [{"filters": [manager]}],
        "ignore_global_conn_limit": True,  # callers who take all connections must not hide it
        **ALONE,
    }


def admin_cluster(layout: Layout) -> Json:
    """The admin socket, as what that listener leads to."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(layout.admin_socket)}}}}
    return {
        "name": _CLUSTER,
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
