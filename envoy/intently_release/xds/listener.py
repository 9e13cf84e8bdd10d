"""The listeners that calls come in by, and what happens to a call before it is routed."""

from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.names import LISTENER, OPERATOR_LISTENER, PIN_HEADER, REVISION_HEADER, ROUTES, STAT_PREFIX
from intently_release.xds.rest import cors, grpc_web, transcoder
from intently_release.xds.sources import watched
from intently_release.xds.tls import transport_socket
from intently_release.xds.typed import ALONE, LISTENER_TYPE, Json, extension, socket_address, typed

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
HEALTH_PATH = "/healthz"
_OWNER_ONLY = 0o600
_BEGUN_WITHIN = "10s"  # handshakes, and headers of a request: who dawdles over them holds a connection for nothing


def listeners(config: ReleaseConfig, layout: Layout) -> list[Json]:
    """The public Listener, whose change cuts the streams that are open, and the operator's.

    The operator's is a unix socket with the same routes: golden requests need no certificate there, whatever callers
    need. The public one comes first, so that the statistics of the routes that they share have its name.
    """
    pins = {} if config.listener.pins else {"early_header_mutation_extensions": [_without_pins()]}
    chain: Json = {"filters": [_manager(config, layout, STAT_PREFIX, **pins)]}
    if config.listener.tls is not None:
        chain["transport_socket"] = transport_socket(config.listener.tls, layout)
        chain["transport_socket_connect_timeout"] = _BEGUN_WITHIN
    public = socket_address(config.listener.address)
    operators = {"pipe": {"path": str(layout.calls_socket), "mode": _OWNER_ONLY}}
    own: Json = {"filters": [_manager(config, layout, OPERATOR_LISTENER)]}
    return [
        typed(LISTENER_TYPE, name=LISTENER, address=public, filter_chains=[chain], **ALONE),
        typed(
            LISTENER_TYPE,
            name=OPERATOR_LISTENER,
            address=operators,
            filter_chains=[own],
            ignore_global_conn_limit=True,  # callers who take all connections must not stop a release
        ),
    ]


def _manager(config: ReleaseConfig, layout: Layout, stat_prefix: str, **more: object) -> Json:
    connections = {"stat_prefix": stat_prefix, **_connections(config, layout), **more}
    return extension("envoy.filters.network.http_connection_manager", _MANAGER, **connections)


def _without_pins() -> Json:
    """Takes the headers that choose a color off a call, before it is routed."""
    return extension(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[{"remove": header} for header in (PIN_HEADER, REVISION_HEADER)],
    )


def _connections(config: ReleaseConfig, layout: Layout) -> Json:
    return {
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "request_headers_timeout": _BEGUN_WITHIN,
        "stream_idle_timeout": "0s",  # a stream may be silent for as long as its caller likes
        "http2_protocol_options": {"max_concurrent_streams": config.listener.max_concurrent_streams},
        "http_filters": _filters(config),
        "rds": {"route_config_name": ROUTES, "config_source": watched(layout, "rds")},
    }


def _filters(config: ReleaseConfig) -> list[Json]:
    """What a call goes through, in this order; statistics count what REST and gRPC-Web were made into."""
    router = extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")
    listener = config.listener
    return [
        _healthz(),
        *([cors()] if listener.cors_origins else []),
        *([grpc_web()] if listener.grpc_web else []),
        *([transcoder()] if listener.rest else []),
        _grpc_stats(),
        router,
    ]


def _healthz() -> Json:
    """Answers 200 while Envoy takes calls; it says nothing of the servers."""
    return extension(
        "envoy.filters.http.health_check",
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": HEALTH_PATH}}],
    )


def _grpc_stats() -> Json:
    """Counts by method. A caller cannot invent any: what no route knows has no cluster to be counted on."""
    return extension(
        "envoy.filters.http.grpc_stats",
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        stats_for_all_methods=True,
        replace_dots_in_grpc_service_name=True,
        enable_upstream_stats=True,
    )
