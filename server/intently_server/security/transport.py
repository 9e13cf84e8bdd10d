"""gRPC's TLS credentials, which take the certificates of the moment at each handshake."""

import grpc

from intently_server.security.certificates import Certificates
from intently_server.security.reloading import Reloading


def server_credentials(certificates: Reloading[Certificates]) -> grpc.ServerCredentials:
    """Credentials of a server whose certificates may change while it runs.

    A new connection gets the newest; one that is open stays as it is. Callers must show a certificate if the
    certificates name authorities for them.
    """
    fetcher = _Fetcher(certificates)
    requires_client = certificates.current.client_ca is not None
    return grpc.dynamic_ssl_server_credentials(
        fetcher.first(),
        fetcher,  # type: ignore[arg-type]  # gRPC documents None for "no change"; its stubs do not know
        requires_client,
    )


class _Fetcher:
    """Gives gRPC certificates that it does not have yet.

    gRPC calls it before each handshake, in a thread of its own and one at a time, so that a busy event loop delays no
    handshake and this must not wait for anything.
    """

    def __init__(self, certificates: Reloading[Certificates]) -> None:
        self._certificates = certificates
        self._handed = certificates.current

    def first(self) -> grpc.ServerCertificateConfiguration:
        """What gRPC begins with."""
        return _configuration(self._handed)

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificates of the moment; None where gRPC has them already."""
        current = self._certificates.current
        if current is self._handed:
            return None
        self._handed = current
        return _configuration(current)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(certificates.key, certificates.chain)], certificates.client_ca)
