"""Whatever comes over the wire, it is no fault of the server's; and a fault would be found, cut short and kept."""

from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from intently_server.bundle import Bundle
from support.fuzz.calls import SERVICES
from support.fuzz.case import Kind
from support.fuzz.findings import FailureFile
from support.fuzz.fuzzed_server import FuzzedServer
from support.fuzz.messages import words_of
from support.fuzz.wire_fuzz import WireFuzz

pytestmark = pytest.mark.timeout(120)

ROUNDS = 2
SEED = "20261121"


def test_nothing_makes_the_server_fail(tmp_path: Path, bundle: Bundle, bundle_path: Path) -> None:
    failures = FailureFile(tmp_path / "failures")
    with (
        FuzzedServer(tmp_path, bundle=bundle_path) as server,
        WireFuzz(server, SEED, words_of(bundle.model), failures) as fuzz,
    ):
        for number in range(ROUNDS):
            fuzz.round(number)

        assert fuzz.findings.faults == {}
        assert fuzz.findings.cases.keys() == {kind.value for kind in Kind}
        answered = {status.removesuffix(" OK") for status in fuzz.findings.statuses if status.endswith(" OK")}
        assert answered >= names_of(SERVICES[0])
        assert answered & names_of(SERVICES[1])
        assert server.process.errors_logged() == []
        assert server.deaths == []


def test_a_fault_is_found_cut_short_and_kept(tmp_path: Path, bundle: Bundle) -> None:
    failures = FailureFile(tmp_path / "failures")
    ill = ("--fault", "internal", "--faulty-bundle", bundle.path.name)
    with (
        FuzzedServer(tmp_path, *ill) as server,
        WireFuzz(server, SEED, words_of(bundle.model), failures, tries=50) as fuzz,
    ):
        fuzz.round(0)
        fault = next(iter(fuzz.findings.faults.values()))  # the first that came: the shortest was looked for

        assert "INTERNAL" in fault.what or "RuntimeError" in fault.what  # what came back, or what was logged of it
        assert len(fault.volley) == 1
        assert fault in failures.faults()
        assert server.new_errors() == []
        fuzz.send(fault.volley)
        assert server.new_errors() != []


def test_a_server_that_dies_is_noticed_and_runs_again(tmp_path: Path, bundle: Bundle) -> None:
    failures = FailureFile(tmp_path / "failures")
    ill = ("--fault", "crash", "--faulty-bundle", bundle.path.name)
    with (
        FuzzedServer(tmp_path, *ill) as server,
        WireFuzz(server, SEED, words_of(bundle.model), failures, tries=0) as fuzz,
    ):
        fuzz.round(0)

        assert server.deaths == ["exit code 9"]
        assert [fault.what for fault in failures.faults()] == ["died: exit code 9"]
        assert server.process.inside().engine == 0


def names_of(service: ServiceDescriptor) -> set[str]:
    """Of its methods."""
    return {method.name for method in service.methods}
