"""How a channel to a server is opened: security, keepalive, reconnecting, and which failures gRPC retries by itself."""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

import grpc

AUTHORIZATION_METADATA = "authorization"
MAX_RECEIVED_BYTES = 16 * 1024 * 1024  # a full batch with all predictions of a large label set
DEFAULT_KEEPALIVE_S = 10.0

# All methods are free of side effects. gRPC core retries a listed status whether or not the server says when (seen with
# grpcio 1.85: RESOURCE_EXHAUSTED without pushback, 4 of 4 attempts), so an overload is not listed here: `retry.py`
# retries it, and only when the server names a time. Streams are not listed either: `streaming` reopens them.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": "intently.v1.IntentService", "method": "Classify"},
                {"service": "intently.v1.IntentService", "method": "BatchClassify"},
                {"service": "intently.v1.ModelService"},
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # The budget: a failure costs 1, a success brings 0.1; at half the tokens or below, nothing is retried.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}


@dataclass(frozen=True, slots=True, repr=False)
class Security:
    """How a caller proves who it is, and how it knows the server. Nothing of it is ever shown by `repr`.

    Attributes:
        tls: Whether the connection is encrypted; a certificate or authority given below needs it.
        ca: Certificate authorities that may vouch for the server, PEM; None for those that gRPC trusts.
        certificate: The caller's certificate chain, PEM, for mTLS; together with `key`.
        key: The private key of `certificate`, PEM.
        token: A bearer token, sent with each call; only over TLS, or to this very machine.
        server_name: The name that the server's certificate must have, where it is not the address's.

    Raises:
        ValueError: if these do not fit together.
    """

    tls: bool = True
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a certificate and its key go together: give both or neither")
        if not self.tls and any(part is not None for part in (self.ca, self.certificate, self.server_name)):
            raise ValueError("certificates and a server name need TLS")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise ValueError("a token must be printable ASCII, and not empty")

    @classmethod
    def from_files(
        cls,
        *,
        tls: bool = True,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        token: Path | None = None,
        server_name: str | None = None,
    ) -> "Security":
        """Reads the parts from files. White space around a token is not part of it.

        Raises:
            OSError: if a file cannot be read.
            ValueError: if the parts do not fit together.
        """
        return cls(
            tls=tls,
            ca=None if ca is None else ca.read_bytes(),
            certificate=None if certificate is None else certificate.read_bytes(),
            key=None if key is None else key.read_bytes(),
            token=None if token is None else token.read_text(encoding="utf-8").strip(),
            server_name=server_name,
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What to send with every call."""
        return () if self.token is None else ((AUTHORIZATION_METADATA, f"Bearer {self.token}"),)


def open_channel(
    address: str, security: Security | None = None, *, keepalive_s: float = DEFAULT_KEEPALIVE_S
) -> grpc.aio.Channel:
    """Opens a channel; it connects with the first call.

    gRPC shares a connection between channels of one process that have the same address, options and credentials. All
    channels from here have the same options, so callers without TLS that name the same address share a connection;
    each `Security` with TLS makes credentials, and a connection, of its own.

    Args:
        address: HOST:PORT, or any target that gRPC resolves.
        security: None for neither TLS nor a token. `Security.metadata` must be sent with each call: the channel does
            not add it.
        keepalive_s: Seconds without a sign of life after which the server is pinged; without an answer for half as
            long the connection counts as lost.

    Raises:
        ValueError: if a token would leave this machine in plain text.
    """
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),  # a server that comes back is soon found
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive_s * 500)),
        ("grpc.http2.ping_timeout_ms", int(keepalive_s * 500)),  # else a lost ping counts after 60 s (seen: 1.85)
        ("grpc.http2.max_pings_without_data", 0),  # an idle stream is kept alive for as long as it lasts
        ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
    ]
    if is_local(address):
        options.append(("grpc.enable_http_proxy", 0))  # else a proxy of the environment would get it, token and all
    if security is None or not security.tls:
        if security is not None and security.token is not None and not is_local(address):
            raise ValueError(f"a token is sent over TLS or to this machine only, and {address} is neither")
        return grpc.aio.insecure_channel(address, options=options)
    if security.server_name is not None:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    credentials = grpc.ssl_channel_credentials(security.ca, security.key, security.certificate)
    return grpc.aio.secure_channel(address, credentials, options=options)


def is_local(target: str) -> bool:
    """Whether what is sent to this target surely stays on this machine: loopback addresses and unix sockets."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("ipv4:", "ipv6:", "dns:"):
        target = target.removeprefix(scheme)
    if target.startswith("//"):  # dns://AUTHORITY/HOST:PORT, mostly without an authority
        target = target[2:].partition("/")[2]
    return all(_is_loopback(each) for each in target.split(","))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0] if address.count(":") == 1 or "]:" in address else address
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
