"""Who may call by a certificate: identities on the list, and those that only look like one."""

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import trustme

from support.certificates import KeyPair, ServerFiles, issue, issue_spiffe, secure_channel
from support.guarded_calls import CALLS, live, refused
from support.in_memory import StartInMemory
from support.token_file import TokenFile
from support.wire import reason_of, rich_status

ALLOWED = "spiffe://example.org/caller"


@pytest.fixture
def mtls(authority: trustme.CA, files: ServerFiles) -> dict[str, object]:
    """Settings for mTLS with one SPIFFE ID and one DNS name on the list."""
    return files.mtls(authority, ALLOWED, "dns:Good.example.org")


GOOD: dict[str, Callable[[trustme.CA], KeyPair]] = {
    "the SPIFFE ID": lambda authority: issue_spiffe(authority, ALLOWED),
    "the DNS name": lambda authority: issue(authority, "good.example.org"),
    "one of its DNS names": lambda authority: issue(authority, "other.example.org", "good.example.org"),
    "a SPIFFE ID and a DNS name": lambda authority: issue_spiffe(authority, ALLOWED, names=("x.example.org",)),
}
BAD: dict[str, Callable[[trustme.CA], KeyPair]] = {
    "another SPIFFE ID": lambda authority: issue_spiffe(authority, f"{ALLOWED}/more"),
    "another trust domain": lambda authority: issue_spiffe(authority, "spiffe://example.com/caller"),
    "two SPIFFE IDs": lambda authority: issue_spiffe(authority, ALLOWED, "spiffe://example.org/other"),
    "another scheme": lambda authority: issue_spiffe(authority, "https://example.org/caller"),
    "a longer DNS name": lambda authority: issue(authority, "very.good.example.org"),
    "a wildcard": lambda authority: issue(authority, "*.example.org"),
    "a SPIFFE ID as DNS name": lambda authority: issue_spiffe(authority, names=("spiffe.example.org",)),
}


@pytest.mark.parametrize("who", GOOD)
async def test_an_identity_on_the_list_is_answered(
    start_in_memory: StartInMemory, mtls: dict[str, object], authority: trustme.CA, who: str
) -> None:
    server = await start_in_memory(**mtls)

    async with secure_channel(server.served.address, authority, GOOD[who](authority)) as channel:
        for call in CALLS.values():
            assert await call(channel, ())


@pytest.mark.parametrize("who", BAD)
async def test_an_identity_that_is_not_on_the_list_is_refused(
    start_in_memory: StartInMemory,
    mtls: dict[str, object],
    authority: trustme.CA,
    who: str,
    no_errors_logged: None,
) -> None:
    server = await start_in_memory(**mtls)

    async with secure_channel(server.served.address, authority, BAD[who](authority)) as channel:
        errors = [await refused(call(channel, ())) for call in CALLS.values()]
        assert await live(channel)

    assert len(errors) == len(CALLS)
    for error in errors:
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason_of(rich_status(error)) == "IDENTITY_NOT_ALLOWED"
        assert "example" not in (error.details() or "")


@pytest.mark.parametrize("name", CALLS)
async def test_where_both_are_wanted_both_must_pass(
    start_in_memory: StartInMemory, mtls: dict[str, object], tmp_path: Path, authority: trustme.CA, name: str
) -> None:
    token_file = TokenFile(tmp_path / "tokens")
    token_file.write("ann")
    server = await start_in_memory(**mtls, token_file=token_file.path)
    address, call, token = server.served.address, CALLS[name], token_file.metadata("ann")

    async with secure_channel(address, authority, issue_spiffe(authority, ALLOWED)) as channel:
        assert await call(channel, token)
        assert reason_of(rich_status(await refused(call(channel, ())))) == "MISSING_TOKEN"
    async with secure_channel(address, authority, issue(authority, "stranger.example.org")) as channel:
        assert reason_of(rich_status(await refused(call(channel, token)))) == "IDENTITY_NOT_ALLOWED"
