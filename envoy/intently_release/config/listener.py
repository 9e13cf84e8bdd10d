"""Where callers come in."""

from pathlib import Path

from pydantic import Field

from intently_release.config.base import Address, Frozen, Seconds


class Tls(Frozen):
    """Certificates of the listener, watched: a swap of the folder's files, or of a symlink to it, is taken up at once.

    Attributes:
        folder: Holds the files.
        certificate: Name of the chain in PEM.
        key: Name of its private key in PEM.
        client_ca: Name of the authorities that callers' certificates must come from (mTLS); None asks for none.
    """

    folder: Path
    certificate: str = "tls.crt"
    key: str = "tls.key"
    client_ca: str | None = None


class Listener(Frozen):
    """Where callers come in.

    Attributes:
        address: For gRPC, REST and gRPC-Web.
        max_connections: At once; more are refused.
        max_concurrent_streams: Of one connection.
        tls: None for plain text.
        rest: Whether `POST /v1/classify` and `GET /v1/models` are answered, by the transcoder.
        grpc_web: Whether browsers may speak gRPC-Web.
        cors_origins: Origins whose pages may call; none unless named.
        pins: Whether callers may choose a color, or a revision, by a header; without it the headers are taken off calls
            that come in here. The operator's own calls keep them.
        drain_s: How long Envoy's own drain may take (--drain-time-s).
    """

    address: Address = "127.0.0.1:50051"
    max_connections: int = Field(10_000, gt=0)
    max_concurrent_streams: int = Field(1000, gt=0)
    tls: Tls | None = None
    rest: bool = True
    grpc_web: bool = True
    cors_origins: tuple[str, ...] = ()
    pins: bool = True
    drain_s: Seconds = 600
