"""The operator's own calls: through Envoy's unix socket, with a token where the servers ask for one."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from intently_release.config import ReleaseConfig
from intently_release.errors import ConfigProblem
from intently_release.layout import Layout


def operators_channel(config: ReleaseConfig, layout: Layout) -> grpc.aio.Channel:
    """A channel to Envoy, whose routes are those of callers.

    Raises:
        ConfigProblem: if the token cannot be read; the text names its file.
    """
    file = config.servers.token_file
    interceptors = [] if file is None else [_Bearer(_token(file))]
    return grpc.aio.insecure_channel(f"unix:{layout.calls_socket}", interceptors=interceptors)


class _Bearer(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends a token with each call. It stands in no text of this class.

    Args:
        token: As it is sent.
    """

    def __init__(self, token: str) -> None:
        self._metadata = ("authorization", f"Bearer {token}")

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """See grpc.aio."""
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()), self._metadata)
        details = grpc.aio.ClientCallDetails(
            client_call_details.method,
            client_call_details.timeout,
            metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigProblem(f"servers.token_file {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or not token or " " in token:
        raise ConfigProblem(f"servers.token_file {file}: must hold one token, as it is sent, and nothing else")
    return token
