"""What is open to the network without TLS is warned of, and tokens do not cross it in the clear."""

import hashlib
import logging
from pathlib import Path

import pytest
import trustme

from intently_server.security import SecurityProblem, read_security
from intently_server.settings import Settings
from support.certificates import ServerFiles, issue, replace

OPEN = ("0.0.0.0:1", "[::]:1", "192.0.2.1:1", "server.example.org:1", "*:1")
LOCAL = ("127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1", "unix:/run/a.sock", "unix-abstract:a")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    made = tmp_path / "tokens"
    replace(made, f"ann {hashlib.sha256(b'a token').hexdigest()}".encode())
    return made


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    made = ServerFiles(tmp_path)
    made.write(issue(trustme.CA()))
    return made


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("address", OPEN)
def test_an_open_port_without_tls_is_warned_of(address: str, caplog: pytest.LogCaptureFixture) -> None:
    security = read_security(Settings(bundle=Path("b"), address=address))

    assert security.credentials() is None
    [warning] = warnings(caplog)
    assert address in warning
    assert "--tls-certificate" in warning


@pytest.mark.parametrize("address", LOCAL)
def test_what_this_machine_alone_reaches_is_nobody_s_business(
    address: str, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_security(Settings(bundle=Path("b"), address=address, token_file=token_file))

    assert warnings(caplog) == []


def test_the_default_address_is_loopback(caplog: pytest.LogCaptureFixture) -> None:
    read_security(Settings(bundle=Path("b")))

    assert warnings(caplog) == []


@pytest.mark.parametrize("address", OPEN)
def test_tokens_in_the_clear_are_refused_unless_they_are_wanted(
    address: str, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SecurityProblem, match=r"--token-file: .* in the clear.*--allow-plaintext-tokens"):
        read_security(Settings(bundle=Path("b"), address=address, token_file=token_file))

    read_security(Settings(bundle=Path("b"), address=address, token_file=token_file, allow_plaintext_tokens=True))
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("address", OPEN)
def test_with_tls_all_is_well(
    address: str, files: ServerFiles, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    security = read_security(
        Settings(
            bundle=Path("b"),
            address=address,
            token_file=token_file,
            tls_certificate=files.certificate,
            tls_key=files.key,
        )
    )

    assert security.credentials() is not None
    assert warnings(caplog) == []
