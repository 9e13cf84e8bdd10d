"""All that protects the port, put together from the settings."""

import asyncio
import logging
from dataclasses import dataclass

import grpc

from intently_server.observer import Observer
from intently_server.security.bearer import BearerTokens
from intently_server.security.certificates import CertificateFiles, Certificates, reloading_certificates
from intently_server.security.identity import AllowedIdentities
from intently_server.security.problem import SecurityProblem
from intently_server.security.reloading import Reloading
from intently_server.security.tokens import Tokens, reloading_tokens
from intently_server.security.transport import server_credentials
from intently_server.settings import Settings
from intently_server.settings.address import host_of, is_loopback

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Security:
    """What protects the port.

    Attributes:
        certificates: For TLS; None for none.
        tokens: One of which every call must carry; None if it needs none.
        identities: One of which every caller's certificate must show; empty if any certificate will do.
        reload_interval_s: Seconds between two looks at the files.
    """

    certificates: Reloading[Certificates] | None
    tokens: Reloading[Tokens] | None
    identities: frozenset[str]
    reload_interval_s: float

    def credentials(self) -> grpc.ServerCredentials | None:
        """gRPC's credentials; None for a port without TLS."""
        return None if self.certificates is None else server_credentials(self.certificates)

    def interceptors(self, observer: Observer) -> list[grpc.aio.ServerInterceptor]:
        """Checks that every call must pass, in order: the token first, since it is known before any message is read."""
        checks: list[grpc.aio.ServerInterceptor] = []
        if self.tokens is not None:
            checks.append(BearerTokens(self.tokens, observer))
        if self.identities:
            checks.append(AllowedIdentities(self.identities, observer))
        return checks

    async def watch(self) -> None:
        """Follows the files until cancelled. They are read in a thread: a network's file system may be slow."""
        while True:
            await asyncio.sleep(self.reload_interval_s)
            for files in (self.certificates, self.tokens):
                if files is not None:
                    await asyncio.to_thread(files.poll)


def read_security(settings: Settings) -> Security:
    """Reads the files that the settings name, and warns of what is open to the network.

    Raises:
        SecurityProblem: if a file cannot be used, or tokens would cross the network in the clear.
    """
    _check_exposure(settings)
    certificates, tokens = None, None
    if settings.tls_certificate and settings.tls_key:
        files = CertificateFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        certificates = reloading_certificates(files)
    if settings.token_file:
        tokens = reloading_tokens(settings.token_file)
    return Security(certificates, tokens, frozenset(settings.allow_identity), settings.tls_reload_interval)


def _check_exposure(settings: Settings) -> None:
    if settings.tls_certificate or settings.on_unix_socket or is_loopback(host_of(settings.address)):
        return
    if settings.token_file and not settings.allow_plaintext_tokens:
        raise SecurityProblem(
            f"--token-file: on {settings.address} without TLS tokens would cross the network in the clear; set "
            "--tls-certificate and --tls-key, or --allow-plaintext-tokens where a proxy ends TLS"
        )
    logger.warning(
        "%s is open to the network without TLS: others may read what is said; see --tls-certificate", settings.address
    )
