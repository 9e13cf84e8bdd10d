"""Whom the admin port answers: no page of another site, unless the operator opened the port to the network."""

from pathlib import Path

import pytest

from support.admin_caller import ADMIN_PATHS, admin_address, get
from support.in_memory import StartInMemory

FOREIGN = (
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "10.1.2.3",
    "[2001:db8::1]:80",
    "localhost.evil",
)


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_a_request_for_another_host_is_refused(
    start_in_memory: StartInMemory, ready_file: Path, path: str
) -> None:
    await start_in_memory(ready_file=ready_file)

    address = admin_address(ready_file)
    for host in FOREIGN:
        page = await get(address, path, host=host)
        assert page.status == 421
        assert "intents" not in page.text


async def test_every_name_of_this_machine_is_answered_for(start_in_memory: StartInMemory, ready_file: Path) -> None:
    await start_in_memory(ready_file=ready_file)

    address = admin_address(ready_file)
    for host in ("localhost", "LOCALHOST:4711", "127.0.0.1", address, "[::1]", "[::1]:80", "127.8.8.8:1"):
        assert (await get(address, "/healthz", host=host)).status == 200


async def test_a_port_that_is_open_to_the_network_answers_all_and_is_warned_of(
    start_in_memory: StartInMemory, ready_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await start_in_memory(ready_file=ready_file, admin_address="0.0.0.0:0")

    port = admin_address(ready_file).rpartition(":")[2]
    assert (await get(f"127.0.0.1:{port}", "/metrics", host="intently.example:9464")).status == 200
    [warning] = [record for record in caplog.records if "admin port" in record.getMessage()]
    assert warning.levelname == "WARNING"


async def test_a_port_of_loopback_is_not_warned_of(
    start_in_memory: StartInMemory, ready_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await start_in_memory(ready_file=ready_file, admin_address="localhost:0")

    assert (await get(admin_address(ready_file), "/healthz")).status == 200
    assert "open to the network" not in caplog.text
