"""Connections to the server, each of its own."""

import asyncio

import grpc

from intently.bench.plan import Plan
from intently.channel import DEFAULT_KEEPALIVE_S, is_local
from intently.channel import open_channel as open_library_channel

_MILLISECOND_S = 0.001


def open_channels(plan: Plan) -> list[grpc.aio.Channel]:
    """As many channels as the plan has connections, connecting with the first call.

    Without `retry` they retry nothing: what the server refused is to be seen.
    """
    if plan.retry:
        security = plan.credentials.load()
        return [
            open_library_channel(plan.target.address, security, keepalive_s=keepalive_s(n))
            for n in range(plan.connections)
        ]
    return [_open_plain(plan) for _ in range(plan.connections)]


def keepalive_s(number: int) -> float:
    """A keepalive that no other number has: gRPC shares connections between channels whose options are the same."""
    return DEFAULT_KEEPALIVE_S + number * _MILLISECOND_S


async def connect(channels: list[grpc.aio.Channel], wait_s: float) -> None:
    """Waits until all are connected.

    Raises:
        TimeoutError: if one is not within `wait_s` seconds.
    """
    async with asyncio.timeout(wait_s):
        await asyncio.gather(*(channel.channel_ready() for channel in channels))


def _open_plain(plan: Plan) -> grpc.aio.Channel:
    security = plan.credentials.load()
    options: list[tuple[str, str | int]] = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),  # else channels to the same address share a connection
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.max_receive_message_length", -1),
    ]
    if is_local(plan.target.address):
        options.append(("grpc.enable_http_proxy", 0))
    if not security.tls:
        return grpc.aio.insecure_channel(plan.target.address, options=options)
    if security.server_name is not None:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    credentials = grpc.ssl_channel_credentials(security.ca, security.key, security.certificate)
    return grpc.aio.secure_channel(plan.target.address, credentials, options=options)
