"""What a real server sends to a collector: to one that takes it, hangs, dies, or never was."""

import asyncio
import logging
from pathlib import Path

import pytest

from intently.v1 import intent_service_pb2 as pb
from support.admin_caller import admin_address, get, metrics
from support.in_memory import InMemory, StartInMemory
from support.otlp_collector import Collector
from support.serving import free_address
from support.spans import CALLER, TRACE_ID


async def test_the_environment_names_the_collector_and_the_service(
    collector: Collector,
    start_in_memory: StartInMemory,
    good_request: pb.ClassifyRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "voice-assistant")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    server = await start_in_memory()
    await server.served.intents.Classify(good_request, metadata=CALLER)

    await collector.wait_spans(6)
    told = collector.resources[0]
    assert told["service.name"] == "voice-assistant"
    assert told["deployment.environment.name"] == "test"
    assert "intently.contains_utterances" not in told


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
async def test_credentials_in_the_environments_url_are_not_logged(
    collector: Collector,
    start_in_memory: StartInMemory,
    good_request: pb.ClassifyRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(name, collector.endpoint.replace("://", "://someone:hush/hush@"))
    server = await start_in_memory(trace_sample_ratio=1.0)
    await server.served.intents.Classify(good_request)
    await collector.wait_spans(6)
    await collector.stop()
    await server.served.intents.Classify(good_request)
    server.served.stop.set()
    await server.served.exit_code

    assert name in caplog.text
    assert "hush" not in caplog.text


async def test_metrics_are_sent_too_and_name_traces(
    collector: Collector, start_in_memory: StartInMemory, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(otlp_endpoint=collector.endpoint, otlp_metrics=True)
    await server.served.intents.Classify(good_request, metadata=CALLER)

    while True:
        sent = {name: metric for each in collector.metrics for name, metric in each.items()}
        points = sent["gen_ai.server.request.duration"].histogram.data_points if sent else []
        if points and points[0].exemplars:
            break
        await asyncio.sleep(0.05)
    assert points[0].count == 1
    assert points[0].exemplars[0].trace_id.hex() == TRACE_ID
    assert sent["intently.server.calls"].sum.is_monotonic
    assert not sent["intently.server.active_calls"].sum.is_monotonic


async def test_openmetrics_names_traces(traced: InMemory, ready_file: Path, good_request: pb.ClassifyRequest) -> None:
    await traced.served.intents.Classify(good_request, metadata=CALLER)

    page = await get(admin_address(ready_file), "/metrics", accept="application/openmetrics-text")
    lines = [line for line in page.text.splitlines() if TRACE_ID in line]
    assert {line.partition("_bucket")[0] for line in lines} == {
        "rpc_server_call_duration_seconds",
        "gen_ai_server_request_duration_seconds",
        "intently_server_stage_duration_seconds",
    }


async def test_a_collector_that_dies_harms_nobody(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest
) -> None:
    await traced.served.intents.Classify(good_request)
    await collector.wait_spans(6)
    await collector.stop()

    for _ in range(50):
        assert (await traced.served.intents.Classify(good_request)).outcome
    traced.served.stop.set()
    assert await asyncio.wait_for(traced.served.exit_code, 20) == 0


async def test_a_collector_that_hangs_harms_nobody(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest, ready_file: Path
) -> None:
    collector.hang()
    await traced.served.intents.Classify(good_request)
    await collector.wait_exports(1)

    for _ in range(500):  # more spans than may wait
        await traced.served.intents.Classify(good_request)
    assert (await metrics(admin_address(ready_file))).sum("intently_server_calls_total") == 501
    traced.served.stop.set()
    assert await asyncio.wait_for(traced.served.exit_code, 20) == 0


async def test_a_collector_that_never_was_harms_nobody(
    start_in_memory: StartInMemory, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(otlp_endpoint=f"http://{free_address()}", otlp_metrics=True, trace_sample_ratio=1.0)

    for _ in range(50):
        assert (await server.served.intents.Classify(good_request)).outcome
    server.served.stop.set()
    assert await asyncio.wait_for(server.served.exit_code, 20) == 0
