"""A load report tells of the server: one of several front ends takes the others to have as much to do."""

from pathlib import Path
from typing import Any

import pytest

from intently_server.admission import AdmissionLoad
from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad
from intently_server.lifecycle import Phase
from intently_server.settings import Settings
from intently_server.telemetry import FrontEndVitals, Telemetry
from intently_server.telemetry.figures import UNARY, Figures
from intently_server.telemetry.ledger import Ledger
from intently_server.telemetry.load_report import LoadReports, load_report_message


class Busy:
    """Vitals of a process that has something to do."""

    max_in_flight = 8
    uptime_s = 1.0
    phase = Phase.SERVING
    calls = 2

    def requests(self) -> AdmissionLoad:
        """Of eight places two are taken."""
        return AdmissionLoad(in_flight=2, running=1, queued=1, queued_tokens=50, requests_per_s=None, refused=0)

    def engine(self) -> EngineLoad:
        """Some."""
        return EngineLoad(1, 0)

    def front_ends(self) -> tuple[FrontEndVitals, ...]:
        """None known here."""
        return ()


def report(bundle: Bundle, front_ends: int) -> Any:
    """After a second in which ten calls ended, four of them with an error."""
    now, figures = [0.0], Figures(bundle.model)
    reports = LoadReports(figures, Ledger(figures), Busy(), front_ends, clock=lambda: now[0])
    reports.trailers()
    for number in range(10):
        figures.ended(UNARY, 0.1, "OK" if number < 6 else "INTERNAL", "", None, 0.0, None)
    now[0] = 1.0
    [(_, data)] = reports.trailers()
    return load_report_message().FromString(data)


@pytest.mark.parametrize("front_ends", [1, 3])
def test_rates_and_queues_are_the_server_s_and_utilization_is_a_share(bundle: Bundle, front_ends: int) -> None:
    told = report(bundle, front_ends)

    assert (told.rps_fractional, told.eps) == (10.0 * front_ends, 4.0 * front_ends)
    assert dict(told.named_metrics) == {"queued_requests": front_ends, "queued_tokens": 50 * front_ends}
    assert told.application_utilization == 0.25


def test_a_front_end_knows_from_its_settings_how_many_there_are(bundle: Bundle, bundle_path: Path) -> None:
    settings = Settings(bundle=bundle_path, front_ends=3, load_reports=True, admin_address="")
    telemetry = Telemetry(settings, bundle.model, Busy(), {}, exports=False)
    [(_, data)] = telemetry.observer.call(UNARY, (), "somebody", 1.0).trailers()

    assert load_report_message().FromString(data).named_metrics["queued_requests"] == 3
