"""The gRPC server: its services, its limits."""

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from intently.v1 import intent_service_pb2, model_service_pb2
from intently_server.listening.port import is_served_socket
from intently_server.parts import Parts
from intently_server.security import Security
from intently_server.servicer.decoding import Decoding
from intently_server.servicer.fault_log import FaultLog
from intently_server.servicer.handlers import Handlers
from intently_server.servicer.intent import IntentServicer
from intently_server.servicer.models import ModelServicer
from intently_server.servicer.open_streams import OpenStreams
from intently_server.servicer.stream import StreamLimits
from intently_server.servicer.unsent import UnsentAnswers
from intently_server.servicer.unserved import Unserved
from intently_server.settings import Settings

_INTENT_SERVICE = intent_service_pb2.DESCRIPTOR.services_by_name["IntentService"]
_MODEL_SERVICE = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
_HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]


class AddressError(Exception):
    """The address cannot be listened on."""


def listen(
    parts: Parts, security: Security, address: str, own_addresses: Sequence[str] = ()
) -> tuple[grpc.aio.Server, str]:
    """Binds the port, or unix socket; returns the server, not yet started, and the address with the port that it has.

    Args:
        parts: Of the server.
        security: Who may call.
        address: HOST:PORT or unix:PATH.
        own_addresses: Others, each with the port that it has.

    Raises:
        AddressError: if the address cannot be listened on.
    """
    settings, observer = parts.settings, parts.telemetry.observer
    streams = OpenStreams(settings.max_streams, observer)
    interceptors = [Unserved(), *security.interceptors(observer), streams, Decoding()]
    server = grpc.aio.server(interceptors=interceptors, options=_channel_options(settings))
    # The rest of a larger batch would always be refused.
    max_batch_size = min(settings.max_batch_size, settings.max_in_flight)
    faults = FaultLog(with_texts=settings.record_utterances)
    unsent = UnsentAnswers(settings.max_unsent_bytes_per_caller, settings.max_unsent_bytes)
    handlers = Handlers(parts.lifecycle, observer, settings.max_priority, max_batch_size, faults, unsent)
    _add_services(server, parts, handlers, max_batch_size, faults)
    for own in own_addresses:  # first: what is bound to an address that is shared is given connections at once
        if _bind(server, own, security.credentials()) == 0:
            raise AddressError(f"cannot listen on {own}")
    port = 0 if is_served_socket(address) else _bind(server, address, security.credentials())
    if port == 0:
        raise AddressError(f"cannot listen on {address}: is it taken, or no address of this host?")
    return server, address if settings.on_unix_socket else f"{address.rpartition(':')[0]}:{port}"


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    """The port; 1 for a unix socket, and 0 if the address cannot be listened on."""
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        return 0


def _add_services(
    server: grpc.aio.Server, parts: Parts, handlers: Handlers, max_batch_size: int, faults: FaultLog
) -> None:
    settings, limits = parts.settings, parts.limits
    intents = IntentServicer(
        parts.lifecycle,
        max_batch_size,
        StreamLimits(
            max_in_flight=settings.stream_max_in_flight,
            max_context_turns=limits.max_context_turns,
            begin_s=settings.stream_begin_timeout,
            max_age_s=settings.stream_max_age,
            grace_s=settings.drain_timeout,
        ),
        parts.stream_ages,
        faults,
    )
    server.add_generic_rpc_handlers((handlers.of(_INTENT_SERVICE, intents),))
    if settings.model_service:
        models = ModelServicer(parts.bundle, settings.model_label, limits)
        server.add_generic_rpc_handlers((handlers.of(_MODEL_SERVICE, models),))
    health_pb2_grpc.add_HealthServicer_to_server(parts.health.servicer, server)
    if settings.reflection:
        services = [_INTENT_SERVICE, *([_MODEL_SERVICE] if settings.model_service else []), _HEALTH_SERVICE]
        names = [service.full_name for service in services]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)


def _channel_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # A second server on the port must fail, not share it; front ends do, see `Reservation`.
        ("grpc.so_reuseport", int(settings.front_ends > 1)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.http2.min_ping_interval_without_data_ms", int(settings.min_ping_interval * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server.max_pending_requests", settings.max_unseen_calls),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_unseen_calls),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", int(settings.handshake_timeout * 1000)),
        ("grpc.keepalive_time_ms", int(settings.keepalive_interval * 1000)),
        ("grpc.http2.max_pings_without_data", 0),  # an idle stream is asked for as long as it lasts
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_interval * 500)),
        # gRPC 1.85 waits a minute for a ping's answer whatever keepalive_timeout_ms says, unless told here too
        ("grpc.http2.ping_timeout_ms", int(settings.keepalive_interval * 500)),
    ]
