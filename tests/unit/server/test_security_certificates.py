"""Certificates and keys from files: what belongs together is taken, and what does not is named without its content."""

import datetime
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from intently_server.security.certificates import CertificateFiles, Certificates, reloading_certificates
from intently_server.security.problem import SecurityProblem
from intently_server.security.reloading import Reloading
from intently_server.security.transport import server_credentials
from support.certificates import KeyPair, ServerFiles, issue, pem_of, replace

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> ServerFiles:
    made = ServerFiles(tmp_path)
    made.write(issue(authority, not_before=NOW - DAY, not_after=NOW + DAY))
    return made


def followed(
    files: ServerFiles, client_ca: Path | None = None, now: Callable[[], datetime.datetime] = lambda: NOW
) -> Reloading[Certificates]:
    return reloading_certificates(CertificateFiles(files.certificate, files.key, client_ca), now)


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_a_good_pair_is_taken_and_its_serial_and_end_are_said(
    files: ServerFiles, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pair = files.write(issue(authority, not_before=NOW - DAY, not_after=NOW + DAY))

    taken = followed(files).current

    assert (taken.chain, taken.key, taken.client_ca) == (pair.chain, pair.key, None)
    assert (taken.serial, taken.not_before, taken.not_after) == (pair.serial, NOW - DAY, NOW + DAY)
    [said] = logged(caplog, logging.INFO)
    assert f"serial {pair.serial:x}, valid until 2026-06-02T00:00:00+00:00" in said


def test_no_key_is_ever_printed(files: ServerFiles) -> None:
    printed = repr(followed(files).current)

    assert "PRIVATE" not in printed
    assert "CERTIFICATE" not in printed


def write_key(key: bytes) -> Callable[[ServerFiles, KeyPair], None]:
    return lambda files, _: replace(files.key, key)


def write_certificate(content: Callable[[bytes], bytes]) -> Callable[[ServerFiles, KeyPair], None]:
    return lambda files, pair: replace(files.certificate, content(pair.chain))


DAMAGES: dict[str, tuple[Callable[[ServerFiles, KeyPair], None], str]] = {
    "another key": (write_key(issue(trustme.CA()).key), r"tls\.key: is not the key of the certificate in .*tls\.crt"),
    "no key": (write_key(b"hello"), r"tls\.key: holds no private key"),
    "half a key": (lambda files, pair: replace(files.key, pair.key[: len(pair.key) // 2]), r"tls\.key: holds no priv"),
    "an empty key": (write_key(b""), r"tls\.key: holds no private key"),
    "a certificate for a key": (lambda files, pair: replace(files.key, pair.chain), r"tls\.key: holds no private key"),
    "a locked key": (write_key(pem_of(ec.generate_private_key(ec.SECP256R1()), b"word")), r"tls\.key: is encrypted"),
    "Ed25519": (write_key(pem_of(ed25519.Ed25519PrivateKey.generate())), r"tls\.key: must be RSA of 2048"),
    "P-521": (write_key(pem_of(ec.generate_private_key(ec.SECP521R1()))), r"tls\.key: must be RSA of 2048"),
    "short RSA": (write_key(pem_of(rsa.generate_private_key(65537, 1024))), r"tls\.key: must be RSA of 2048"),  # noqa: S505
    "no certificate": (write_certificate(lambda _: b"hello"), r"tls\.crt: holds no certificate"),
    "an empty certificate": (write_certificate(lambda _: b""), r"tls\.crt: holds no certificate"),
    "half a certificate": (write_certificate(lambda chain: chain[: len(chain) // 2]), r"tls\.crt: holds no certif"),
    "a chain cut off": (write_certificate(lambda chain: chain + chain[: len(chain) // 2]), r"tls\.crt: (its last|hol)"),
    "bytes": (write_certificate(lambda _: bytes(range(256))), r"tls\.crt: holds no certificate"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_cannot_be_used_is_named_and_never_quoted(files: ServerFiles, authority: trustme.CA, name: str) -> None:
    damage, said = DAMAGES[name]
    pair = files.write(issue(authority, not_before=NOW - DAY, not_after=NOW + DAY))
    damage(files, pair)

    with pytest.raises(SecurityProblem, match=said) as caught:
        followed(files)

    secrets = {line for file in (files.key, files.certificate) for line in file.read_bytes().splitlines() if line}
    assert not any(line.decode("latin-1") in str(caught.value) for line in secrets)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_pair_keeps_the_last_good_one(files: ServerFiles, authority: trustme.CA, name: str) -> None:
    certificates = followed(files)
    before = certificates.current
    pair = files.write(issue(authority, not_before=NOW - DAY, not_after=NOW + DAY))
    DAMAGES[name][0](files, pair)

    certificates.poll()
    assert certificates.current is before
    files.write(pair)
    certificates.poll()
    assert certificates.current.serial == pair.serial


def test_a_missing_file_is_named(files: ServerFiles) -> None:
    files.key.unlink()

    with pytest.raises(SecurityProblem, match=r"tls\.key: unreadable: No such file"):
        followed(files)


def test_authorities_that_are_none_are_named(files: ServerFiles) -> None:
    client_ca = files.folder / "ca.crt"
    client_ca.write_text("no authority")

    with pytest.raises(SecurityProblem, match=r"ca\.crt: holds no certificate"):
        followed(files, client_ca)


@pytest.mark.parametrize(
    ("not_before", "not_after", "said"),
    [(NOW - 2 * DAY, NOW - DAY, "has expired, on 2026-05-31"), (NOW + DAY, NOW + 2 * DAY, "is not valid before")],
)
def test_a_certificate_out_of_date_is_used_at_first_with_a_warning(
    files: ServerFiles,
    authority: trustme.CA,
    caplog: pytest.LogCaptureFixture,
    not_before: datetime.datetime,
    not_after: datetime.datetime,
    said: str,
) -> None:
    pair = files.write(issue(authority, not_before=not_before, not_after=not_after))

    assert followed(files).current.serial == pair.serial
    [warning] = logged(caplog, logging.WARNING)
    assert said in warning
    assert "in use" in warning


def test_a_certificate_out_of_date_never_replaces_a_good_one(
    files: ServerFiles, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    time = [NOW]
    certificates = followed(files, now=lambda: time[0])
    good = certificates.current.serial

    files.write(issue(authority, not_before=NOW - 2 * DAY, not_after=NOW - DAY))
    certificates.poll()
    assert certificates.current.serial == good
    early = files.write(issue(authority, not_before=NOW + DAY / 2, not_after=NOW + 2 * DAY))
    certificates.poll()
    assert certificates.current.serial == good
    expired, too_early = logged(caplog, logging.WARNING)
    assert "has expired" in expired
    assert "is not valid before" in too_early
    assert all(line.endswith("the last good one stays in use") for line in (expired, too_early))

    time[0] = NOW + DAY / 2
    certificates.poll()
    assert certificates.current.serial == early.serial


def test_a_certificate_that_expires_in_use_is_said(files: ServerFiles, caplog: pytest.LogCaptureFixture) -> None:
    time = [NOW]
    certificates = followed(files, now=lambda: time[0])

    time[0] = NOW + 2 * DAY
    certificates.poll()
    certificates.poll()

    [warning] = logged(caplog, logging.WARNING)
    assert "has expired" in warning


def test_a_key_that_everybody_can_read_is_said(files: ServerFiles, caplog: pytest.LogCaptureFixture) -> None:
    files.key.chmod(0o644)
    followed(files)

    [warning] = logged(caplog, logging.WARNING)
    assert warning.startswith(f"{files.key}: everybody on this machine can read it")


def test_grpc_takes_what_is_taken(files: ServerFiles) -> None:
    assert server_credentials(followed(files)) is not None
