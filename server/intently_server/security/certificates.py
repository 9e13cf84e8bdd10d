"""Reads the server's certificate, its key and the callers' authorities, and sees that they belong together."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from intently_server.security.permissions import warn_if_others_can_read
from intently_server.security.problem import SecurityProblem
from intently_server.security.reloading import Reloading

logger = logging.getLogger(__name__)

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the parts lie, each in PEM: the chain with the server's own first, its key, the callers' authorities."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Certificates:
    """A key and certificates that belong together, in PEM.

    Attributes:
        chain: The server's certificate first, then those between it and its authority.
        key: The private key of the first.
        client_ca: Whose certificates callers must show; None if they need none.
        serial: Serial number of the first certificate.
        not_before: From when it is valid.
        not_after: Until when it is valid.
    """

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = field(repr=False)
    serial: int
    not_before: datetime
    not_after: datetime


def reloading_certificates(
    files: CertificateFiles, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Reloading[Certificates]:
    """Certificates that follow their files. One that is out of date is used at first, and never taken later.

    Args:
        files: Where they lie.
        now: The time, aware of its zone.

    Raises:
        SecurityProblem: if they cannot be used now.
    """
    paths = [files.certificate, files.key, *([files.client_ca] if files.client_ca else [])]

    def parse(contents: Sequence[bytes]) -> Certificates:
        return _certificates(files, *contents)

    def taken(certificates: Certificates) -> None:
        serial, end = certificates.serial, certificates.not_after
        logger.info("using certificate %s: serial %x, valid until %s", files.certificate, serial, end.isoformat())
        warn_if_others_can_read(files.key)

    def doubt(certificates: Certificates) -> str | None:
        if now() > certificates.not_after:
            return f"{files.certificate}: has expired, on {certificates.not_after.isoformat()}"
        if now() < certificates.not_before:
            return f"{files.certificate}: is not valid before {certificates.not_before.isoformat()}"
        return None

    return Reloading(paths, parse, taken, doubt)


def _certificates(files: CertificateFiles, chain: bytes, key: bytes, client_ca: bytes | None = None) -> Certificates:
    own = _parsed(files.certificate, chain)[0]
    if files.client_ca and client_ca is not None:
        _parsed(files.client_ca, client_ca)
    if _public_key(files.key, key) != own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise SecurityProblem(f"{files.key}: is not the key of the certificate in {files.certificate}")
    return Certificates(chain, key, client_ca, own.serial_number, own.not_valid_before_utc, own.not_valid_after_utc)


def _parsed(file: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise SecurityProblem(f"{file}: holds no certificate in PEM, or a damaged one") from None
    if len(certificates) != pem.count(_BEGIN):
        raise SecurityProblem(f"{file}: its last certificate is cut off")
    return certificates


def _public_key(file: Path, pem: bytes) -> bytes:
    """The public half of a private key, in DER."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SecurityProblem(f"{file}: is encrypted; the server asks for no password") from None
    except (ValueError, UnsupportedAlgorithm):  # whose text might quote the key
        raise SecurityProblem(f"{file}: holds no private key in PEM, or a damaged one") from None
    if isinstance(key, rsa.RSAPrivateKey):
        usable = key.key_size >= _MIN_RSA_BITS
    else:
        usable = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    if not usable:  # gRPC would take it, and then fail every handshake
        raise SecurityProblem(f"{file}: must be RSA of {_MIN_RSA_BITS} bits or more, P-256 or P-384")
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
