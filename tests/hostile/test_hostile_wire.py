"""Messages that are nearly right, to every method: whatever comes back, it is no fault of the server's."""

import pytest

from intently_server.bundle import Bundle
from support.hostile.wire_fuzz import SERVICES, WireFuzz, words_of
from support.in_memory_server import InMemoryServer

pytestmark = pytest.mark.timeout(90)

CASES = 1_200
SEED = 20261121


async def test_no_message_makes_the_server_fail(server: InMemoryServer, bundle: Bundle) -> None:
    logged = len(server.errors_logged())

    findings = await WireFuzz(server.address, SEED, words_of(bundle.model)).run(cases=CASES)

    assert findings.faults == []
    assert findings.cases == CASES
    answered = {status.removesuffix(" OK") for status in findings.statuses if status.endswith(" OK")}
    assert answered >= {method.name for service in SERVICES[:2] for method in service.methods}
    assert server.errors_logged()[logged:] == []
    assert server.process.poll() is None
