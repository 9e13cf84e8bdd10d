"""Routes: by pin, then by revision, then by the weights of the release. Nothing else changes during one."""

from collections.abc import Mapping
from dataclasses import dataclass

from intently_release.colors import Color, Weights
from intently_release.config import ReleaseConfig, Traffic
from intently_release.xds.names import (
    CALLS,
    HEALTH_SERVICE,
    INTENT_SERVICE,
    MODEL_SERVICE,
    PIN_HEADER,
    REFLECTION_SERVICES,
    REVISION_HEADER,
    ROUTES,
    STREAMS,
    cluster_of,
    first,
)
from intently_release.xds.rest import CORS_FILTER, REST_PREFIX, cors_policy
from intently_release.xds.typed import ROUTES_TYPE, Json, extension, seconds, typed

_NOBODY_ANSWERED = "connect-failure,refused-stream,reset,unavailable"  # safe: no method has side effects
_BACK_OFF = {"base_interval": "0.005s", "max_interval": "0.1s"}
_MODEL_METHODS = ("GetModel", "ListModels", "ListIntents")
_UNBOUNDED = "0s"
# Servers are told since when a call waits here, and for how long its caller will: over whatever the caller says, on
# every route, since calls of all callers share a connection to the server, whose clock these show.
_SINCE = ("x-request-start", "t=%START_TIME(%s.%3f)%")
_FOR = ("x-intently-timeout", "%REQ(grpc-timeout)%")
# The caller's timeout is for their own code to keep. When it is gRPC that ends a call for it, Envoy takes that for a
# failure of the server: five calls of one caller, each with a millisecond, and it was ejected.
_NEVER = ("grpc-timeout", "99999999S")
# What gRPC's servers decompress. They answer UNIMPLEMENTED to the rest, which Envoy takes for a failure of the server.
_UNDERSTOOD = {
    "name": "grpc-encoding",
    "string_match": {"safe_regex": {"regex": "|identity|gzip|deflate"}},
    "treat_missing_header_as_empty": True,
}


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a route leads.

    Attributes:
        name: Begins the names of its routes.
        action: The cluster or the weighted clusters.
        header: Name and value that a call must have; None for any call.
        falls_back: Whether a retry goes to the other color.
    """

    name: str
    action: Json
    header: tuple[str, str] | None = None
    falls_back: bool = False


def routes(
    config: ReleaseConfig, weights: Weights, revisions: Mapping[Color, str], mirror_to: Color | None
) -> list[Json]:
    """The RouteConfiguration, alone in a list."""
    targets = [*map(_pinned, Color), *_by_revision(revisions), _by_weight(config, weights)]
    host: Json = {
        "name": "all",
        "domains": ["*"],
        "include_request_attempt_count": True,
        "request_headers_to_add": [_header(*_SINCE)],
        "routes": [route for target in targets for route in _methods(config.traffic, target, mirror_to)],
    }
    if config.listener.cors_origins:
        host["typed_per_filter_config"] = {CORS_FILTER: cors_policy(config)}
        if config.listener.rest:
            host["routes"].append(_rest())
    # Envoy takes routes to clusters that it does not know unless it is told to look.
    return [typed(ROUTES_TYPE, name=ROUTES, validate_clusters=True, virtual_hosts=[host])]


def _rest() -> Json:
    """Gives REST its CORS policy, which hangs on a route; what the transcoder knows takes that of its gRPC method.

    Nothing arrives there: the transcoder refuses what it does not know.
    """
    return {"name": "rest", "match": {"prefix": REST_PREFIX}, "route": {"cluster": cluster_of(Color.BLUE)}}


def _pinned(color: Color) -> _Target:
    return _Target(f"pin-{color}", {"cluster": cluster_of(color)}, (PIN_HEADER, color.value))


def _by_revision(revisions: Mapping[Color, str]) -> list[_Target]:
    """None for a revision that both colors serve: its callers follow the weights like all others."""
    if len(set(revisions.values())) < len(revisions):
        return []
    return [
        _Target(f"revision-{color}", {"cluster": cluster_of(color)}, (REVISION_HEADER, revisions[color]))
        for color in Color
        if revisions.get(color)
    ]


def _by_weight(config: ReleaseConfig, weights: Weights) -> _Target:
    clusters = [{"name": first(color), "weight": weights[color]} for color in Color]
    action: Json = {"weighted_clusters": {"clusters": clusters}}
    if config.traffic.sticky_header:
        action["weighted_clusters"]["use_hash_policy"] = True
        action["hash_policy"] = [{"header": {"header_name": config.traffic.sticky_header}}]
    return _Target("weighted", action, falls_back=True)


def _methods(traffic: Traffic, target: _Target, mirror_to: Color | None) -> list[Json]:
    """One route for each method, by its exact path. A prefix would let callers invent methods, each with statistics."""
    unary: Json = {**_within(traffic.timeout), "priority": CALLS}
    batch: Json = {**_within(traffic.batch_timeout), "priority": CALLS}
    stream: Json = {"timeout": _UNBOUNDED, "priority": STREAMS}
    classify = dict(unary)
    if target.header is None and mirror_to is not None and traffic.mirror_percent:
        classify["request_mirror_policies"] = [_mirror(mirror_to, traffic.mirror_percent)]
    one_try = seconds(traffic.per_try_timeout)
    return [
        _route(traffic, target, f"/{INTENT_SERVICE}/Classify", classify, one_try),
        _route(traffic, target, f"/{INTENT_SERVICE}/ClassifyStream", stream),
        _route(traffic, target, f"/{INTENT_SERVICE}/BatchClassify", batch),
        *(_route(traffic, target, f"/{MODEL_SERVICE}/{method}", unary, one_try) for method in _MODEL_METHODS),
        _route(traffic, target, f"/{HEALTH_SERVICE}/Check", {**unary, "priority": STREAMS}, one_try),
        _route(traffic, target, f"/{HEALTH_SERVICE}/Watch", stream),
        *(_route(traffic, target, f"/{service}/ServerReflectionInfo", stream) for service in REFLECTION_SERVICES),
    ]


def _within(limit_s: float) -> Json:
    """The timeout of a call. It begins when all of the call has come; one of which nothing more comes ends as well.

    Not by max_stream_duration, which writes itself into grpc-timeout, over the caller's.
    """
    return {"timeout": seconds(limit_s), "idle_timeout": seconds(limit_s + 1)}


def _route(traffic: Traffic, target: _Target, path: str, action: Json, one_try: str | None = None) -> Json:
    # `path` ignores a query, which would go on to the server; gRPC has none, and some bytes in one stop grpc.aio 1.85.
    headers: list[Json] = [{"name": ":path", "string_match": {"exact": path}}, _UNDERSTOOD]
    if target.header is not None:
        name, value = target.header
        headers.append({"name": name, "string_match": {"exact": value}})
    match: Json = {"path": path, "headers": headers}
    retry = _retry(traffic, target, one_try)
    return {
        "name": f"{target.name}{path}",
        "match": match,
        "route": {**target.action, **action, **retry},
        "request_headers_to_remove": [_FOR[0]],  # where there is nothing to tell, nothing is added
        "request_headers_to_add": [_header(*_FOR), _header(*_NEVER, "OVERWRITE_IF_EXISTS")],
    }


def _header(key: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> Json:
    return {"header": {"key": key, "value": value}, "append_action": action}


def _retry(traffic: Traffic, target: _Target, one_try: str | None) -> Json:
    policy: Json = {"retry_on": _NOBODY_ANSWERED, "num_retries": traffic.retries, "retry_back_off": _BACK_OFF}
    if one_try is not None:
        policy["per_try_timeout"] = one_try
    if target.falls_back:
        policy["retry_priority"] = extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            update_frequency=1,
        )
    return {"retry_policy": policy}


def _mirror(color: Color, percent: int) -> Json:
    share = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
    return {"cluster": cluster_of(color), "runtime_fraction": share}
