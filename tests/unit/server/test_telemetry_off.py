"""With nothing switched on nobody watches: neither our own telemetry nor the engine's. Front ends share the work."""

from pathlib import Path
from typing import Any

import pytest

from intently_server.admission import Admission, Bounds
from intently_server.bundle import Bundle
from intently_server.lifecycle import Lifecycle
from intently_server.observer import Unobserved
from intently_server.settings import Settings
from intently_server.telemetry import OwnVitals, Telemetry

OFF: dict[str, Any] = {"admin_address": ""}


def telemetry(bundle: Bundle, settings: Settings, **kind: bool) -> Telemetry:
    vitals = OwnVitals(Lifecycle(), Admission(Bounds(1)), 1)
    return Telemetry(settings, bundle.model, vitals, {}, **kind)


def test_with_all_of_it_off_calls_are_not_observed(bundle: Bundle, bundle_path: Path) -> None:
    settings = Settings(bundle=bundle_path, **OFF)
    made = telemetry(bundle, settings)

    assert isinstance(made.observer, Unobserved)
    assert made.exposition is None
    assert not settings.keeps_engine_metrics


@pytest.mark.parametrize("on", [{"admin_address": "127.0.0.1:0"}, {"load_reports": True}, {"log_format": "json"}])
def test_each_of_it_alone_needs_an_observer(bundle: Bundle, bundle_path: Path, on: dict[str, Any]) -> None:
    assert not isinstance(telemetry(bundle, Settings(bundle=bundle_path, **OFF | on)).observer, Unobserved)


@pytest.mark.parametrize(("metrics", "kept"), [(True, True), (False, False)])
def test_the_engine_keeps_metrics_where_they_can_be_read(bundle_path: Path, metrics: bool, kept: bool) -> None:
    settings = Settings(bundle=bundle_path, admin_address="127.0.0.1:0", metrics=metrics)
    assert settings.keeps_engine_metrics == kept


def test_a_front_end_counts_and_leaves_it_to_the_first_process_to_tell(bundle: Bundle, bundle_path: Path) -> None:
    settings = Settings(bundle=bundle_path, admin_address="127.0.0.1:0", log_format="json")
    front_end, first = telemetry(bundle, settings, exports=False), telemetry(bundle, settings, watches=False)

    assert front_end.exposition is None
    assert not isinstance(front_end.observer, Unobserved)
    assert first.exposition is not None
    assert isinstance(first.observer, Unobserved)
