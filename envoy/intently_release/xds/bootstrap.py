"""What Envoy is started with: where it reads the rest from, its admin socket, and its limits."""

from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.metrics import admin_cluster, metrics_listener
from intently_release.xds.sources import watched
from intently_release.xds.typed import Json, extension

ADMIN_PATHS = ("/ready", "/stats", "/stats/prometheus", "/config_dump", "/clusters", "/server_info")
_ONLY_OWNER = 0o600
_FLUSH = "0.5s"  # latencies come in at a flush: with the default, 5 s, verdicts would wait for them


def bootstrap(config: ReleaseConfig, layout: Layout) -> Json:
    """The Bootstrap."""
    static: Json = {}
    if config.metrics is not None:
        static = {"listeners": [metrics_listener(config.metrics)], "clusters": [admin_cluster(layout)]}
    return {
        "node": {"id": "intently", "cluster": "intently"},
        "admin": _admin(layout),
        "dynamic_resources": {"cds_config": watched(layout, "cds"), "lds_config": watched(layout, "lds")},
        "static_resources": static,
        "stats_flush_interval": _FLUSH,
        "overload_manager": _overload(config),
    }


def _admin(layout: Layout) -> Json:
    """On a unix socket that only its owner may use. What changes Envoy is not allowed even there."""
    return {
        "address": {"pipe": {"path": str(layout.admin_socket), "mode": _ONLY_OWNER}},
        "allow_paths": [
            {"safe_regex": {"regex": rf"{path}(\?.*)?"}} for path in ADMIN_PATHS
        ],  # the query is matched too
    }


def _overload(config: ReleaseConfig) -> Json:
    monitor = extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=config.listener.max_connections,
    )
    return {"resource_monitors": [monitor]}
