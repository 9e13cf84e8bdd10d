"""A snapshot: all that Envoy is told, rendered from the configuration and the state of a release. Deterministic."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intently_release.colors import Color, Weights
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.bootstrap import bootstrap
from intently_release.xds.clusters import clusters
from intently_release.xds.listener import listeners
from intently_release.xds.routes import routes
from intently_release.xds.tls import secrets

_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """JSON documents. All but the first are DiscoveryResponses, whose version_info is a hash of their resources.

    Attributes:
        bootstrap: What Envoy is started with.
        lds, cds, rds: Listeners, clusters, routes.
        secrets: Where certificates are read from, by kind (see `tls`); empty without TLS.
    """

    bootstrap: Mapping[str, Any]
    lds: Mapping[str, Any]
    cds: Mapping[str, Any]
    rds: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def render(
    config: ReleaseConfig,
    layout: Layout,
    weights: Weights,
    revisions: Mapping[Color, str] = {},
    mirror_to: Color | None = None,
) -> Snapshot:
    """What Envoy must be told.

    Args:
        config: All that can be set.
        layout: Where Envoy finds its files.
        weights: Percent of the new calls by color.
        revisions: What each color serves, as far as it is known.
        mirror_to: The color that gets copies of calls, where the configuration mirrors any; None for neither.
    """
    return Snapshot(
        bootstrap=bootstrap(config, layout),
        lds=discovery(listeners(config, layout)),
        cds=discovery(clusters(config)),
        rds=discovery(routes(config, weights, revisions, mirror_to)),
        secrets={kind: discovery([secret]) for kind, secret in secrets(config.listener.tls).items()},
    )


def discovery(resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A DiscoveryResponse of these resources."""
    return {"version_info": version_of(resources), "resources": list(resources)}


def version_of(resources: Sequence[Mapping[str, Any]]) -> str:
    """A hash of resources: 16 hexadecimal digits of SHA-256 over their JSON with sorted keys."""
    content = json.dumps(resources, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_DIGITS]
