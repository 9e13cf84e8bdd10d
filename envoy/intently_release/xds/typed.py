"""Messages of Envoy's API as JSON objects that name their type."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
"""A JSON object."""

TYPE_KEY = "@type"
LISTENER_TYPE = "envoy.config.listener.v3.Listener"
CLUSTER_TYPE = "envoy.config.cluster.v3.Cluster"
ROUTES_TYPE = "envoy.config.route.v3.RouteConfiguration"
SECRET_TYPE = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105  # the name of a message

ALONE: Json = {"enable_reuse_port": False, "connection_balance_config": {"exact_balance": {}}}
"""Of a listener: nobody else may have its port, and its workers, who share one socket, take connections in turns."""


def typed(type_name: str, **fields: Any) -> Json:
    """A message that says what it is."""
    return {TYPE_KEY: f"type.googleapis.com/{type_name}", **fields}


def extension(name: str, type_name: str, **fields: Any) -> Json:
    """An extension of Envoy by name, with its configuration."""
    return {"name": name, "typed_config": typed(type_name, **fields)}


def type_of(message: Mapping[str, Any]) -> str:
    """The full name of a message's type; empty if it names none."""
    return str(message.get(TYPE_KEY, "")).removeprefix("type.googleapis.com/")


def seconds(value: float) -> str:
    """A google.protobuf.Duration, to the millisecond; never none, which to Envoy is for ever."""
    return f"{max(value, 0.001):.3f}".rstrip("0").rstrip(".") + "s"


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects of a JSON document, from the outside in."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from objects(inner)


def socket_address(address: str) -> Json:
    """A HOST:PORT as Envoy's Address."""
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
