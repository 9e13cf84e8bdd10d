"""Authorities, certificates and the files that servers read them from; what a new connection is shown."""

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

SERVER_NAME = "localhost"
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]  # gRPC shares connections between channels otherwise


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the certificate chain that begins with its own, in PEM."""

    key: bytes
    chain: bytes

    @property
    def serial(self) -> int:
        """Serial number of the first certificate."""
        return x509.load_pem_x509_certificate(self.chain).serial_number


def issue(
    authority: trustme.CA,
    *names: str,
    not_before: datetime.datetime | None = None,
    not_after: datetime.datetime | None = None,
) -> KeyPair:
    """A certificate of these DNS names, which default to the server's."""
    leaf = authority.issue_cert(*(names or (SERVER_NAME,)), not_before=not_before, not_after=not_after)
    return KeyPair(leaf.private_key_pem.bytes(), b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


def issue_spiffe(authority: trustme.CA, *identities: str, names: tuple[str, ...] = ()) -> KeyPair:
    """A certificate of these URIs and DNS names, as SPIFFE workloads have one; good for a day."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity) for identity in identities]
    alternatives.extend(x509.DNSName(name) for name in names)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return KeyPair(pem_of(key), certificate.public_bytes(serialization.Encoding.PEM))


def pem_of(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    """A private key in PEM, encrypted if there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files that a server reads its certificate from."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The chain."""
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        """The key."""
        return self.folder / "tls.key"

    @property
    def settings(self) -> dict[str, Path | float]:
        """A server's settings for them: it looks at them often."""
        return {"tls_certificate": self.certificate, "tls_key": self.key, "tls_reload_interval": 0.02}

    def mtls(self, authority: trustme.CA, *identities: str) -> dict[str, object]:
        """A server's settings for them and for callers of this authority, with these identities on the list."""
        file = self.folder / "ca.crt"
        replace(file, authority.cert_pem.bytes())
        return {**self.settings, "tls_client_ca": file, "allow_identity": list(identities)}

    def write(self, pair: KeyPair) -> KeyPair:
        """Replaces both files, each by a rename."""
        for file, content in ((self.certificate, pair.chain), (self.key, pair.key)):
            replace(file, content)
        return pair


def replace(file: Path, content: bytes) -> None:
    """Writes a file that only its owner can read, by a rename."""
    partial = file.with_name(f"{file.name}.partial")
    partial.touch(mode=0o600)
    partial.write_bytes(content)
    partial.replace(file)


@contextlib.asynccontextmanager
async def secure_channel(
    address: str, authority: trustme.CA, client: KeyPair | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel with a connection of its own to the server at HOST:PORT, which must be the authority's."""
    credentials = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(), client.key if client else None, client.chain if client else None
    )
    target = f"{SERVER_NAME}:{address.rpartition(':')[2]}"
    async with grpc.aio.secure_channel(target, credentials, options=_OWN_CONNECTION) as channel:
        yield channel


async def shown_serial(address: str, authority: trustme.CA) -> int:
    """The serial number of the certificate that a new connection is shown, verified."""
    return await asyncio.to_thread(_shown_serial, address, authority)


def _shown_serial(address: str, authority: trustme.CA) -> int:
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


async def wait_shown(address: str, authority: trustme.CA, serial: int) -> None:
    """Returns once new connections are shown this certificate; a test's own timeout bounds the wait."""
    while await shown_serial(address, authority) != serial:  # noqa: ASYNC110  # a server tells nobody
        await asyncio.sleep(0.01)
