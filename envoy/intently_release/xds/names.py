"""Names that Envoy's configuration, its statistics and its callers share."""

from intently_release.colors import Color

ROUTES = "intently"
"""The one RouteConfiguration."""

LISTENER = "intently"
"""The one Listener that callers come in by."""

OPERATOR_LISTENER = "operator"
"""The Listener of who runs this Envoy; also the prefix of its statistics."""

STAT_PREFIX = "intently"
"""Of the HTTP connection manager's statistics."""

PIN_HEADER = "x-intently-release"
"""A call with this header goes to the color it names, and to no other."""

REVISION_HEADER = "x-intently-revision"
"""A call with this header goes to the color that serves the revision it names."""

CALLS = "DEFAULT"
"""Envoy's priority for calls that end soon: circuit breakers bound each priority by itself."""

STREAMS = "HIGH"
"""Envoy's priority for streams, which last, and for health, which is to be told however many calls are under way."""

INTENT_SERVICE = "intently.v1.IntentService"
MODEL_SERVICE = "intently.v1.ModelService"
HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def cluster_of(color: Color) -> str:
    """The cluster of this color's servers, and of nobody else."""
    return color.value


def first(color: Color) -> str:
    """The cluster that takes this color, and the other while this one is ill."""
    return f"{color.value}-first"
