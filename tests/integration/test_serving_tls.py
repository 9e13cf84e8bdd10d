"""TLS and mTLS on the port, and certificates that change under load without one call failing."""

import asyncio
import logging
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.certificates import KeyPair, ServerFiles, issue, replace, secure_channel, shown_serial, wait_shown
from support.in_memory import StartInMemory
from support.rotation_load import RotationLoad
from support.server_process import run_to_the_end

HELLO = pb.ClassifyRequest(text="hello")
ROTATIONS = 5


async def answered(address: str, authority: trustme.CA, client: KeyPair | None = None) -> bool:
    """Whether a new connection gets an answer; otherwise it must fail as one that cannot be made does."""
    async with secure_channel(address, authority, client) as channel:
        try:
            return bool((await IntentServiceStub(channel).Classify(HELLO, timeout=20)).predictions)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise


def reload_log(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and record.name.startswith("intently_server.security")
    ]


async def wait_warned(caplog: pytest.LogCaptureFixture, part: str) -> None:
    """Returns once a warning with this part was logged."""
    while not any(part in line for line in reload_log(caplog, logging.WARNING)):  # noqa: ASYNC110  # a log tells nobody
        await asyncio.sleep(0.01)


async def test_a_call_over_tls_is_answered(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA
) -> None:
    server = await start_in_memory(**files.settings)

    assert await answered(server.served.address, authority)


async def test_a_caller_without_tls_gets_nothing(start_in_memory: StartInMemory, files: ServerFiles) -> None:
    server = await start_in_memory(**files.settings)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(HELLO, timeout=20)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_who_trusts_another_authority_gets_nothing(
    start_in_memory: StartInMemory, files: ServerFiles
) -> None:
    server = await start_in_memory(**files.settings)

    assert not await answered(server.served.address, trustme.CA())


async def test_mtls_lets_in_who_shows_a_certificate_of_the_authority(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA
) -> None:
    callers = trustme.CA()
    replace(files.folder / "ca.crt", callers.cert_pem.bytes())
    server = await start_in_memory(**files.settings, tls_client_ca=files.folder / "ca.crt")
    address = server.served.address

    assert await answered(address, authority, issue(callers, "caller.example.org"))
    assert not await answered(address, authority)
    assert not await answered(address, authority, issue(trustme.CA(), "caller.example.org"))
    assert not await answered(address, authority, issue(authority, "caller.example.org"))


async def test_with_mtls_health_needs_a_certificate_too(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA
) -> None:
    replace(files.folder / "ca.crt", authority.cert_pem.bytes())
    server = await start_in_memory(**files.settings, tls_client_ca=files.folder / "ca.crt")
    check = health_pb2.HealthCheckRequest(service="")

    async with secure_channel(server.served.address, authority, issue(authority, "probe")) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(check, timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    async with secure_channel(server.served.address, authority) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(check, timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_certificates_change_under_load_and_nothing_fails(
    start_in_memory: StartInMemory,
    files: ServerFiles,
    authority: trustme.CA,
    no_errors_logged: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "intently_server.security")
    server = await start_in_memory(**files.settings)
    address = server.served.address
    load = RotationLoad(address, authority)
    serials = [await shown_serial(address, authority)]

    async with load.running(streams=3):
        for _ in range(ROTATIONS):
            before = load.answered.copy()
            pair = files.write(issue(authority))
            await wait_shown(address, authority, pair.serial)
            serials.append(pair.serial)
            await load.wait_more_than(before)

    assert load.failures == []
    assert load.unbroken_streams == 3
    assert len(set(serials)) == ROTATIONS + 1
    said = reload_log(caplog, logging.INFO)
    assert all(any(f"serial {serial:x}" in line for line in said) for serial in serials)


async def test_a_key_of_another_certificate_keeps_the_last_good_pair_and_is_said(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_in_memory(**files.settings)
    address = server.served.address
    good, other = await shown_serial(address, authority), issue(authority)

    replace(files.key, other.key)
    await wait_warned(caplog, f"{files.key}: is not the key of the certificate in {files.certificate}")

    assert await shown_serial(address, authority) == good
    assert await answered(address, authority)
    replace(files.certificate, other.chain)
    await wait_shown(address, authority, other.serial)


async def test_who_may_call_changes_with_the_authorities(
    start_in_memory: StartInMemory, files: ServerFiles, authority: trustme.CA
) -> None:
    old, new, file = trustme.CA(), trustme.CA(), files.folder / "ca.crt"
    replace(file, old.cert_pem.bytes())
    server = await start_in_memory(**files.settings, tls_client_ca=file)
    address, caller = server.served.address, issue(new, "caller")
    assert not await answered(address, authority, caller)

    async with secure_channel(address, authority, issue(old, "caller")) as open_before:
        assert (await IntentServiceStub(open_before).Classify(HELLO, timeout=20)).predictions
        replace(file, new.cert_pem.bytes())
        while not await answered(address, authority, caller):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)

        assert not await answered(address, authority, issue(old, "caller"))
        assert (await IntentServiceStub(open_before).Classify(HELLO, timeout=20)).predictions


def test_files_that_cannot_be_used_end_the_command_with_2(bundle_path: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    files = ServerFiles(tmp_path)
    replace(files.certificate, issue(authority).chain)
    replace(files.key, issue(authority).key)

    ended = run_to_the_end(
        "--bundle", str(bundle_path), "--tls-certificate", str(files.certificate), "--tls-key", str(files.key)
    )

    assert ended.returncode == 2
    assert f"{files.key}: is not the key of the certificate in {files.certificate}" in ended.stderr
    assert "PRIVATE" not in ended.stderr
