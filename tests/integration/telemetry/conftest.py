"""What tests of telemetry share: a collector, and a server that sends to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.in_memory import InMemory, StartInMemory
from support.otlp_collector import Collector


@pytest.fixture(autouse=True)
def _prompt_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector that takes everything."""
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@pytest.fixture
def ready_file(tmp_path: Path) -> Path:
    """Where the server writes its addresses."""
    return tmp_path / "ready.json"


@pytest.fixture
async def traced(collector: Collector, start_in_memory: StartInMemory, ready_file: Path) -> InMemory:
    """A server that traces every call whose caller has not decided otherwise."""
    return await start_in_memory(ready_file=ready_file, otlp_endpoint=collector.endpoint, trace_sample_ratio=1.0)
