"""The listener that callers come in by, and what happens to a call before it is routed."""

from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.names import LISTENER, ROUTES, STAT_PREFIX
from intently_release.xds.sources import watched
from intently_release.xds.typed import LISTENER_TYPE, Json, extension, socket_address, typed

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HEADERS_WITHIN = "10s"  # of a request; a caller that dawdles over them holds a connection for nothing


def listeners(config: ReleaseConfig, layout: Layout) -> list[Json]:
    """The Listener, alone in a list. A change of it cuts the streams that are open."""
    manager = extension("envoy.filters.network.http_connection_manager", _MANAGER, **_connections(config, layout))
    chain: Json = {"filters": [manager]}
    return [
        typed(
            LISTENER_TYPE,
            name=LISTENER,
            address=socket_address(config.listener.address),
            filter_chains=[chain],
        )
    ]


def _connections(config: ReleaseConfig, layout: Layout) -> Json:
    return {
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "request_headers_timeout": _HEADERS_WITHIN,
        "stream_idle_timeout": "0s",  # a stream may be silent for as long as its caller likes
        "http2_protocol_options": {"max_concurrent_streams": config.listener.max_concurrent_streams},
        "http_filters": [
            _grpc_stats(),
            extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
        ],
        "rds": {"route_config_name": ROUTES, "config_source": watched(layout, "rds")},
    }


def _grpc_stats() -> Json:
    return extension(
        "envoy.filters.http.grpc_stats",
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        stats_for_all_methods=True,
        replace_dots_in_grpc_service_name=True,
        enable_upstream_stats=True,
        emit_filter_state=False,
    )
