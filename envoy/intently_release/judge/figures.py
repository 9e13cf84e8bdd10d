"""What Envoy has counted of each color, read at one moment.

Which statistics, seen by running Envoy 1.40; C is a color, F its cluster with fallback (`blue-first`), which is what
weighted routes lead to:

| statistic | why this one |
|---|---|
| F.grpc.SERVICE.METHOD.N | Calls by gRPC status N: HTTP says 200 for all. Made at the first such call: none means 0. |
| F.grpc.SERVICE.METHOD.request_message_count | Calls that began: one of its callers gave up leaves no other trace. |
| F.grpc.SERVICE.Classify.upstream_rq_time | Latency of the last try in whole ms; streams do not pollute it. |
| F.upstream_rq_retry, _retry_overflow | Tries that failed and that callers never saw. Retries hide a dead color. |
| C, F: upstream_rq_active_overflow, _pending_overflow | Calls over max_waiting: the second, on C, in Envoy 1.40. |
| C.upstream_rq_active | Under way, streams included: all that runs there, by whatever route it came. |
| C.membership_healthy, _total, _excluded | Servers, or their front ends; those not yet checked are excluded. |
| C.outlier_detection.ejections_active, _enforced_total | Servers taken out now, and ever. |
| server.uptime, server.hot_restart_epoch | A restart sets all of the above back. |

Pinned calls, those by revision, and mirrored ones are on C alone: they are judged by what they do to its health.
Counters come at once, histograms and the uptime at Envoy's flush interval.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from intently_release.colors import Color
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.proxy.answers import Measured
from intently_release.proxy.histogram import Histogram
from intently_release.xds.names import INTENT_SERVICE, cluster_of, first

_SERVICE = INTENT_SERVICE.replace(".", "_")
_SINGLE = "Classify"
_OK = 0
_UNARY = (_SINGLE, "BatchClassify")
_PATTERN = (
    r"^server\.(uptime|hot_restart_epoch)$"
    r"|^cluster\.(blue|green)(-first)?\."
    rf"(grpc\.{_SERVICE}\.\w+\.(\d+|request_message_count|upstream_rq_time)"
    r"|upstream_rq_(active|retry|retry_overflow|active_overflow|pending_overflow)"
    r"|membership_(healthy|total|excluded)|outlier_detection\.ejections_(active|enforced_total))$"
)
_STATUS = re.compile(rf"grpc\.{_SERVICE}\.(\w+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Figures:
    """One color since Envoy's start.

    Attributes:
        at: When it was read, in seconds of the system's clock.
        uptime_s: For how long Envoy has run.
        epoch: How often Envoy was restarted hot.
        codes: Calls of IntentService that ended, by the number of their gRPC status; streams count when they end.
        silent: Of those, batches and streams that ended with OK, which says nothing of the utterances in them.
        begun, ended: Single calls and batches whose request came in, and those that ended.
        singles: Single calls that ended.
        retries: Further tries.
        overflow: Calls and retries that were refused because too many were under way.
        active: Calls and streams under way.
        healthy, pending, total: Servers that get calls, that were not yet checked, and all.
        ejected, ejections: Servers that are taken out for failing calls, and how often one was.
        latency: Of single calls that a server answered, in milliseconds.
    """

    at: float
    uptime_s: int
    epoch: int
    codes: Mapping[int, int]
    silent: int
    begun: int
    ended: int
    singles: int
    retries: int
    overflow: int
    active: int
    healthy: int
    pending: int
    total: int
    ejected: int
    ejections: int
    latency: Histogram

    @property
    def started_at(self) -> float:
        """When Envoy started, to a second and its flush interval."""
        return self.at - self.uptime_s


async def read_figures(admin: EnvoyAdmin) -> Mapping[Color, Figures]:
    """Figures of each color that Envoy tells all of; a color of which something is missing is left out.

    Raises:
        ProxyProblem: if Envoy cannot be asked.
    """
    measured = await admin.measured(_PATTERN)
    found = ((color, figures_of(color, measured, time.time())) for color in Color)
    return {color: figures for color, figures in found if figures is not None}


def figures_of(color: Color, measured: Measured, at: float) -> Figures | None:
    """One color's figures; None if what Envoy always tells of a cluster is not there."""
    own, fallback = f"cluster.{cluster_of(color)}.", f"cluster.{first(color)}."
    counts = measured.counts
    by_call = {name.removeprefix(fallback): count for name, count in counts.items() if name.startswith(fallback)}
    try:
        return Figures(
            at=at,
            uptime_s=counts["server.uptime"],
            epoch=counts["server.hot_restart_epoch"],
            codes=_by_status(by_call),
            silent=sum(count for method, code, count in _statuses(by_call) if method != _SINGLE and code == _OK),
            begun=sum(by_call.get(f"grpc.{_SERVICE}.{method}.request_message_count", 0) for method in _UNARY),
            ended=_ended(by_call, _UNARY),
            singles=_ended(by_call, (_SINGLE,)),
            retries=counts[f"{fallback}upstream_rq_retry"],
            overflow=_overflow(counts, own, fallback),
            active=counts[f"{own}upstream_rq_active"],
            healthy=counts[f"{own}membership_healthy"],
            pending=counts[f"{own}membership_excluded"],
            total=counts[f"{own}membership_total"],
            ejected=counts[f"{own}outlier_detection.ejections_active"],
            ejections=counts[f"{own}outlier_detection.ejections_enforced_total"],
            latency=measured.histograms.get(f"{fallback}grpc.{_SERVICE}.{_SINGLE}.upstream_rq_time", Histogram()),
        )
    except KeyError:
        return None


def _statuses(by_call: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Method, status and count."""
    for name, count in by_call.items():
        if match := _STATUS.fullmatch(name):
            yield match[1], int(match[2]), count


def _by_status(by_call: Mapping[str, int]) -> Mapping[int, int]:
    codes: Counter[int] = Counter()
    for _, code, count in _statuses(by_call):
        codes[code] += count
    return dict(codes)


def _ended(by_call: Mapping[str, int], methods: tuple[str, ...]) -> int:
    return sum(count for method, _, count in _statuses(by_call) if method in methods)


def _overflow(counts: Mapping[str, int], own: str, fallback: str) -> int:
    names = [f"{prefix}upstream_rq_{what}_overflow" for prefix in (own, fallback) for what in ("active", "pending")]
    return sum(counts[name] for name in [*names, f"{fallback}upstream_rq_retry_overflow"])
