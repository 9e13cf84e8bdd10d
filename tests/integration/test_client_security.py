"""The client over TLS, with a certificate and with a token, by calls, by streams and by the command."""

import asyncio
import hashlib
import secrets
import sys
from pathlib import Path

import pytest
import trustme

from intently import IntentClient, IntentlyError, Security, UnauthenticatedError, UnavailableError
from support.certificates import ServerFiles, issue
from support.in_memory import InMemory, StartInMemory

INTENTLY = Path(sys.executable).parent / "intently"
CALLER = "caller.example"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A caller's token; the server's list of tokens lies beside it, as `tokens`."""
    token = secrets.token_hex(32)
    (tmp_path / "tokens").write_text(f"caller {hashlib.sha256(token.encode()).hexdigest()}\n", encoding="utf-8")
    path = tmp_path / "caller.token"
    path.write_text(f"{token}\n", encoding="utf-8")
    return path


@pytest.fixture
async def guarded(start_in_memory: StartInMemory, files: ServerFiles, token_file: Path) -> InMemory:
    """A server that wants TLS and a token."""
    return await start_in_memory(**files.settings, token_file=token_file.with_name("tokens"))


def token_in(file: Path) -> str:
    """The token in a file."""
    return file.read_text(encoding="utf-8").strip()


def target(server: InMemory) -> str:
    """The server by the name in its certificate."""
    return f"localhost:{server.served.address.rpartition(':')[2]}"


async def ask(server: InMemory, security: Security | None) -> None:
    """A call, and an item of a stream."""
    async with IntentClient(target(server), security=security) as client:
        assert await client.classify("hello", timeout_s=5)
        assert await client.list_models()
        async with client.stream() as stream:
            assert await stream.classify("hello")


async def test_tls_with_a_token(guarded: InMemory, authority: trustme.CA, token_file: Path) -> None:
    ca = authority.cert_pem.bytes()
    token = token_in(token_file)

    await ask(guarded, Security(ca=ca, token=token))

    for wrong in (None, "wrong"):
        with pytest.raises(UnauthenticatedError):
            await ask(guarded, Security(ca=ca, token=wrong))
        async with IntentClient(target(guarded), security=Security(ca=ca, token=wrong)) as client:
            with pytest.raises(UnauthenticatedError):
                async with client.stream():
                    pytest.fail("it was opened")


async def test_a_server_of_another_authority_is_not_talked_to(guarded: InMemory, token_file: Path) -> None:
    stranger = trustme.CA()
    token = token_in(token_file)
    with pytest.raises(UnavailableError):
        await ask(guarded, Security(ca=stranger.cert_pem.bytes(), token=token))


async def test_a_server_name_may_differ_from_the_address(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA
) -> None:
    files.write(issue(authority, "intents.example"))
    server = await start_in_memory(**files.settings)
    ca = authority.cert_pem.bytes()

    await ask(server, Security(ca=ca, server_name="intents.example"))
    with pytest.raises(UnavailableError):
        await ask(server, Security(ca=ca))


async def test_mutual_tls(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA, tmp_path: Path
) -> None:
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(authority.cert_pem.bytes())
    server = await start_in_memory(**files.settings, tls_client_ca=client_ca)
    ca, own = authority.cert_pem.bytes(), issue(authority, CALLER)

    await ask(server, Security(ca=ca, certificate=own.chain, key=own.key))
    with pytest.raises(IntentlyError):
        await ask(server, Security(ca=ca))


async def test_a_token_without_tls_on_this_machine(start_in_memory: StartInMemory, token_file: Path) -> None:
    server = await start_in_memory(token_file=token_file.with_name("tokens"))
    token = token_in(token_file)

    await ask(server, Security(tls=False, token=token))
    with pytest.raises(UnauthenticatedError):
        await ask(server, None)


async def test_the_command_over_tls_with_a_token(
    guarded: InMemory, authority: trustme.CA, token_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = tmp_path / "authority.pem"
    ca.write_bytes(authority.cert_pem.bytes())
    common = ["--address", target(guarded), "--ca", str(ca)]

    assert await _run("classify", "hello", *common, "--token-file", str(token_file)) == (0, "")
    code, err = await _run("classify", "hello", *common)
    assert code == 1
    assert "--token-file" in err

    monkeypatch.setenv("INTENTLY_TOKEN_FILE", str(token_file))
    assert await _run("models", *common, "--priority", "high") == (0, "")


async def _run(*arguments: str) -> tuple[int | None, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(INTENTLY, *arguments, stdout=pipe, stderr=pipe)
    _, err = await process.communicate()
    return process.returncode, err.decode()
