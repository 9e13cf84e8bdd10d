"""Channels: what may not be opened, and what a token and a key never do."""

from pathlib import Path

import pytest
import trustme

from intently import Security
from intently.channel import is_local, open_channel

BEARER = "secret-of-the-caller"


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "127.8.9.1:1",
        "localhost:50051",
        "localhost",
        "[::1]:50051",
        "::1",
        "dns:///localhost:50051",
        "ipv4:127.0.0.1:1,127.0.0.1:2",
        "ipv6:[::1]:50051",
        "unix:/run/intently.sock",
        "unix:///run/intently.sock",
        "unix-abstract:intently",
    ],
)
def test_loopback_and_unix_sockets_are_local(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize(
    "target",
    [
        "10.0.0.1:50051",
        "intents.example:443",
        "localhost.example:443",
        "dns:///intents.example:443",
        "dns://127.0.0.1/intents.example:443",
        "ipv4:127.0.0.1:1,10.0.0.1:2",
        "[2001:db8::1]:50051",
        "0.0.0.0:50051",
        "xds:///localhost",
        "",
    ],
)
def test_anything_else_is_not(target: str) -> None:
    assert not is_local(target)


async def test_a_token_never_leaves_this_machine_in_plain_text() -> None:
    with pytest.raises(ValueError, match=r"intents\.example:443 is neither") as refused:
        open_channel("intents.example:443", Security(tls=False, token=BEARER))
    assert BEARER not in str(refused.value)

    for address, security in (
        ("intents.example:443", Security(token=BEARER)),
        ("127.0.0.1:50051", Security(tls=False, token=BEARER)),
    ):
        await open_channel(address, security).close()


@pytest.mark.parametrize(
    "parts",
    [
        {"certificate": b"PEM"},
        {"key": b"PEM"},
        {"tls": False, "ca": b"PEM"},
        {"tls": False, "certificate": b"PEM", "key": b"PEM"},
        {"tls": False, "server_name": "intents.example"},
        {"token": ""},
        {"token": "two\nlines"},
        {"token": "ümlaut"},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts: dict[str, bytes | str | bool]) -> None:
    with pytest.raises(ValueError, match=r"key|TLS|token"):
        Security(**parts)  # type: ignore[arg-type]  # parametrized


def test_secrets_are_not_shown() -> None:
    shown = repr(Security(certificate=b"CERTIFICATE", key=b"PRIVATE", token=BEARER))

    assert not any(part in shown for part in ("CERTIFICATE", "PRIVATE", BEARER))


def test_files_are_read(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("caller.example")
    files = {name: tmp_path / name for name in ("ca", "certificate", "key", "token")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    own.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    own.private_key_pem.write_to_path(str(files["key"]))
    files["token"].write_text(f"{BEARER}\n", encoding="utf-8")

    security = Security.from_files(
        ca=files["ca"],
        certificate=files["certificate"],
        key=files["key"],
        token=files["token"],
        server_name="intents.example",
    )

    assert security == Security(
        ca=authority.cert_pem.bytes(),
        certificate=own.cert_chain_pems[0].bytes(),
        key=own.private_key_pem.bytes(),
        token=BEARER,
        server_name="intents.example",
    )
    assert security.metadata == (("authorization", f"Bearer {BEARER}"),)


def test_without_a_token_nothing_is_sent() -> None:
    assert Security().metadata == ()
