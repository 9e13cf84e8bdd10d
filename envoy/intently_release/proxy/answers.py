"""What Envoy's admin socket answers, from its JSON. Only what is read is named; the rest may be anything."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from intently_release.colors import Color, Weights
from intently_release.proxy.histogram import Bucket, Histogram
from intently_release.xds.names import CALLS, ROUTES, cluster_of, first


@dataclass(frozen=True, slots=True)
class Measured:
    """Statistics since Envoy's start, by name.

    Attributes:
        counts: Counters and gauges.
        histograms: Of a latency in milliseconds. Their values come in at Envoy's flush interval, counters at once.
        texts: What has no number, such as the version of the routes.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hosts:
    """A color's servers, as Envoy sees them: of servers with several front ends, each of these is one.

    Attributes:
        healthy: Those that get calls.
        total: All of them.
        ejected: Those taken out for failing calls, whatever their health checks say.
    """

    healthy: int
    total: int
    ejected: int


@dataclass(frozen=True, slots=True)
class Server:
    """Envoy itself.

    Attributes:
        state: "LIVE" when it takes calls.
        epoch: How often it was restarted hot; 0 at first.
        uptime_s: Whole seconds since this process started.
    """

    state: str
    epoch: int
    uptime_s: int


class _Bucket(BaseModel):
    lower_bound: float
    width: float
    count: int


class _Totals(BaseModel):
    name: str
    totals: tuple[_Bucket, ...] = ()


class _Histograms(BaseModel):
    details: tuple[_Totals, ...] = ()


class _Stat(BaseModel):
    name: str = ""
    value: int | str = 0
    histograms: _Histograms = _Histograms()


class _Stats(BaseModel):
    stats: tuple[_Stat, ...]


class _Health(BaseModel):
    failed_active_health_check: bool = False
    failed_outlier_check: bool = False
    failed_active_degraded_check: bool = False
    pending_active_hc: bool = False
    pending_dynamic_removal: bool = False
    excluded_via_immediate_hc_fail: bool = False
    eds_health_status: str = "HEALTHY"

    @property
    def healthy(self) -> bool:
        faults = (self.failed_active_health_check, self.failed_outlier_check, self.failed_active_degraded_check)
        absent = (self.pending_active_hc, self.excluded_via_immediate_hc_fail)
        return not any(faults) and not any(absent) and self.eds_health_status == "HEALTHY"


class _Host(BaseModel):
    health_status: _Health


class _Threshold(BaseModel):
    priority: str = CALLS
    max_requests: int


class _Breakers(BaseModel):
    thresholds: tuple[_Threshold, ...] = ()


class _Cluster(BaseModel):
    name: str
    host_statuses: tuple[_Host, ...] = ()
    circuit_breakers: _Breakers = _Breakers()


class _Clusters(BaseModel):
    cluster_statuses: tuple[_Cluster, ...] = ()


class _ClusterWeight(BaseModel):
    name: str
    weight: int = 0


class _WeightedClusters(BaseModel):
    clusters: tuple[_ClusterWeight, ...]


class _Action(BaseModel):
    weighted_clusters: _WeightedClusters | None = None


class _Route(BaseModel):
    route: _Action | None = None


class _VirtualHost(BaseModel):
    routes: tuple[_Route, ...] = ()


class _RouteConfig(BaseModel):
    name: str = ""
    virtual_hosts: tuple[_VirtualHost, ...] = ()


class _DynamicRoutes(BaseModel):
    version_info: str = ""
    route_config: _RouteConfig = _RouteConfig()


class _RoutesDump(BaseModel):
    configs: tuple[_DynamicRoutes, ...] = ()


class _ErrorState(BaseModel):
    details: str = ""


class _DynamicListener(BaseModel):
    name: str = ""
    error_state: _ErrorState | None = None


class _ListenersDump(BaseModel):
    configs: tuple[_DynamicListener, ...] = ()


class _Options(BaseModel):
    restart_epoch: int = 0


class _ServerInfo(BaseModel):
    state: str
    uptime_current_epoch: str
    command_line_options: _Options = _Options()


def measured(body: bytes) -> Measured:
    """Of `/stats?format=json&histogram_buckets=detailed`. A histogram without values is left out."""
    stats = _Stats.model_validate_json(body).stats
    return Measured(
        counts={stat.name: stat.value for stat in stats if stat.name and isinstance(stat.value, int)},
        histograms={
            each.name: Histogram(tuple(sorted(Bucket(b.lower_bound, b.width, b.count) for b in each.totals if b.count)))
            for stat in stats
            for each in stat.histograms.details
        },
        texts={stat.name: stat.value for stat in stats if isinstance(stat.value, str)},
    )


def hosts(body: bytes) -> dict[Color, Hosts]:
    """Of `/clusters?format=json`, for each color that Envoy has a cluster of; without those about to go."""
    clusters = {each.name: each for each in _Clusters.model_validate_json(body).cluster_statuses}
    return {color: _counted(clusters[cluster_of(color)]) for color in Color if cluster_of(color) in clusters}


def most_calls(body: bytes) -> dict[Color, int]:
    """Of `/clusters?format=json`: how many calls, streams not counted, each color may have under way."""
    clusters = {each.name: each for each in _Clusters.model_validate_json(body).cluster_statuses}
    return {
        color: threshold.max_requests
        for color in Color
        if cluster_of(color) in clusters
        for threshold in clusters[cluster_of(color)].circuit_breakers.thresholds
        if threshold.priority == CALLS
    }


def _counted(cluster: _Cluster) -> Hosts:
    healths = [host.health_status for host in cluster.host_statuses if not host.health_status.pending_dynamic_removal]
    return Hosts(
        healthy=sum(health.healthy for health in healths),
        total=len(healths),
        ejected=sum(health.failed_outlier_check for health in healths),
    )


def routes(body: bytes) -> tuple[str, Weights | None]:
    """Of `/config_dump?resource=dynamic_route_configs`: version, and the weights that all weighted routes agree on."""
    for dump in _RoutesDump.model_validate_json(body).configs:
        if dump.route_config.name == ROUTES:
            found = list(_weights(dump.route_config))
            agreed = bool(found) and all(each == found[0] for each in found)
            return dump.version_info, found[0] if agreed else None
    return "", None


def refused_listeners(body: bytes) -> dict[str, str]:
    """Of `/config_dump?resource=dynamic_listeners`: why a listener is not as it was told, by its name.

    Of the first update that fails, Envoy has an entry without a name besides.
    """
    dumped = _ListenersDump.model_validate_json(body).configs
    return {each.name: each.error_state.details for each in dumped if each.name and each.error_state is not None}


def _weights(config: _RouteConfig) -> Iterator[Weights]:
    actions = (each.route for host in config.virtual_hosts for each in host.routes)
    for action in actions:
        if action is not None and action.weighted_clusters is not None:
            by_name = {each.name: each.weight for each in action.weighted_clusters.clusters}
            yield {color: by_name.get(first(color), 0) for color in Color}


def server(body: bytes) -> Server:
    """Of `/server_info`."""
    info = _ServerInfo.model_validate_json(body)
    uptime = int(info.uptime_current_epoch.removesuffix("s"))
    return Server(info.state, info.command_line_options.restart_epoch, uptime)
