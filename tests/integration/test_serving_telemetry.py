"""Traces, load reports and logs of a real server: to a real collector, or to one that hangs, dies, or never was."""

import asyncio
import io
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from intently_server.logs import configure_logs
from support.admin_caller import admin_address, get, metrics
from support.in_memory import InMemory, StartInMemory
from support.in_memory_server import in_memory_server
from support.otlp_collector import Collector, attributes
from support.serving import free_address
from support.stream_caller import StreamCaller
from support.tap import LOAD_REPORT, load_report, tapped

SERVICE = "intently.v1.IntentService"
STAGES = ["receive", "tokenize", "queue", "inference", "calibrate"]
SAID = "xylophone quagmire 7391"  # what a user says; nothing else has it
TRACE_ID, CALLER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = (("traceparent", f"00-{TRACE_ID}-{CALLER_SPAN}-01"),)
UNSAMPLED_CALLER = (("traceparent", f"00-{TRACE_ID}-{CALLER_SPAN}-00"),)


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


@pytest.fixture
def json_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the server logs, as JSON."""
    loggers = [logging.getLogger(name) for name in ("intently_server", "opentelemetry", "aiohttp", "asyncio", "grpc")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    monkeypatch.setattr("sys.stderr", io.StringIO())
    configure_logs("INFO", "json")
    assert isinstance(sys.stderr, io.StringIO)
    yield sys.stderr
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def root_of(spans: list[Span]) -> Span:
    """The one span of a call."""
    [root] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    return root


def below(spans: list[Span], parent: Span) -> list[Span]:
    """The spans whose parent this is, in the order in which they began."""
    found = [span for span in spans if span.parent_span_id == parent.span_id]
    return sorted(found, key=lambda span: span.start_time_unix_nano)


async def test_a_call_goes_on_with_its_callers_trace(
    traced: InMemory, collector: Collector, bundle: Bundle, good_request: pb.ClassifyRequest
) -> None:
    answer = await traced.served.intents.Classify(good_request, metadata=CALLER)

    spans = await collector.wait_spans(6)
    root = root_of(spans)
    stages = below(spans, root)
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert root.parent_span_id.hex() == CALLER_SPAN
    assert [span.name for span in stages] == STAGES
    moments = [root.start_time_unix_nano, *(t for s in stages for t in (s.start_time_unix_nano, s.end_time_unix_nano))]
    assert [*moments, root.end_time_unix_nano] == sorted([*moments, root.end_time_unix_nano])
    assert root.status.code == Status.STATUS_CODE_UNSET
    told = attributes(root)
    assert root.name == f"{SERVICE}/Classify"
    assert told["intently.confidence"] == pytest.approx(answer.predictions[0].confidence)
    expected = {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/Classify",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "gen_ai.operation.name": "classify",
        "gen_ai.request.model": bundle.model.name,
        "gen_ai.response.model": bundle.model.name,
        "gen_ai.usage.input_tokens": answer.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "intently.revision": bundle.model.revision,
        "intently.intent": answer.predictions[0].intent,
    }
    assert expected.items() <= told.items()


async def test_what_the_caller_does_not_trace_is_not_traced(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest
) -> None:
    await traced.served.intents.Classify(good_request, metadata=UNSAMPLED_CALLER)
    await traced.served.intents.Classify(good_request)

    spans = await collector.wait_spans(6)
    assert len(spans) == 6
    assert root_of(spans).trace_id.hex() != TRACE_ID


async def test_only_the_callers_wish_counts_at_a_ratio_of_0(
    collector: Collector, start_in_memory: StartInMemory, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(otlp_endpoint=collector.endpoint, trace_sample_ratio=0.0)
    await server.served.intents.Classify(good_request)
    await server.served.intents.Classify(good_request, metadata=CALLER)

    assert {span.trace_id.hex() for span in await collector.wait_spans(6)} == {TRACE_ID}


@pytest.mark.parametrize("header", ["", "~", "00-0-0-01", f"ff-{'0' * 32}-{'0' * 16}-01", f"00-{'1' * 5000}"])
async def test_a_trace_header_that_cannot_be_read_is_passed_over(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest, header: str
) -> None:
    assert (await traced.served.intents.Classify(good_request, metadata=(("traceparent", header),))).outcome

    assert root_of(await collector.wait_spans(6)).parent_span_id == b""


async def test_each_utterance_of_a_batch_has_its_span(
    traced: InMemory, collector: Collector, bundle: Bundle, good_request: pb.ClassifyRequest
) -> None:
    await traced.served.intents.BatchClassify(
        pb.BatchClassifyRequest(requests=[good_request, pb.ClassifyRequest(), good_request])
    )

    spans = await collector.wait_spans(1 + (1 + 5) + (1 + 1) + (1 + 5))
    items = below(spans, root_of(spans))
    assert [item.name for item in items] == [f"classify {bundle.model.name}"] * 3
    assert Counter(len(below(spans, item)) for item in items) == {5: 2, 1: 1}
    [failed] = [attributes(item) for item in items if len(below(spans, item)) == 1]
    assert failed["intently.reason"] == "INVALID_INPUT"
    assert failed["intently.fields"] == ["text"]


async def test_each_item_of_a_stream_has_its_span(traced: InMemory, collector: Collector) -> None:
    stream = StreamCaller(traced.served.intents)
    await stream.open()
    await stream.item("one")
    await stream.item("two")
    await stream.finish()

    spans = await collector.wait_spans(1 + 2 * 6)
    root = root_of(spans)
    assert root.name == f"{SERVICE}/ClassifyStream"
    assert [[span.name for span in below(spans, item)] for item in below(spans, root)] == [STAGES] * 2


async def test_a_fault_of_ours_is_told_by_its_type_alone(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest
) -> None:
    traced.engine.fault = RuntimeError(SAID)
    with pytest.raises(grpc.aio.AioRpcError):
        await traced.served.intents.Classify(good_request)

    spans = await collector.wait_spans(5)
    root = root_of(spans)
    assert root.status.code == Status.STATUS_CODE_ERROR
    assert root.status.message == "INTERNAL"
    told = attributes(root)
    assert told["rpc.response.status_code"] == told["error.type"] == "INTERNAL"
    assert told["exception.type"] == "builtins.RuntimeError"
    assert [span.name for span in below(spans, root)] == STAGES[:4]
    assert attributes(below(spans, root)[-1])["error.type"] == "INTERNAL"
    assert not any(SAID.encode() in span.SerializeToString() for span in spans)


async def test_a_mistake_of_the_callers_is_no_fault_of_the_server(traced: InMemory, collector: Collector) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await traced.served.intents.Classify(pb.ClassifyRequest())

    root = root_of(await collector.wait_spans(2))
    assert root.status.code == Status.STATUS_CODE_UNSET
    told = attributes(root)
    assert (told["rpc.response.status_code"], told["intently.reason"]) == ("INVALID_ARGUMENT", "INVALID_INPUT")


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


async def say_everywhere(server: InMemory) -> None:
    """Says SAID in every way in which a call can go: well, wrong, failed, in a batch, on a stream."""
    intents = server.served.intents
    good = pb.ClassifyRequest(text=SAID, context=[pb.Turn(role=pb.ROLE_USER, text=SAID)])
    bad = pb.ClassifyRequest(text=SAID * 5000, request_id="r" * 65, candidate_intents=[SAID])
    await intents.Classify(good)
    await intents.BatchClassify(pb.BatchClassifyRequest(requests=[good, bad]))
    with pytest.raises(grpc.aio.AioRpcError):
        await intents.Classify(bad)
    stream = StreamCaller(intents)
    await stream.open(accumulate_context=True)
    for number in ("1", "1", "2"):
        await stream.item(number, SAID)
    await stream.item("3", SAID * 5000)
    await stream.finish()
    server.engine.fault = RuntimeError("the engine failed")
    with pytest.raises(grpc.aio.AioRpcError):
        await intents.Classify(good)


async def shown(address: str) -> str:
    """All that the admin port shows."""
    pages = [await get(address, path) for path in ("/metrics", "/statusz", "/statusz?format=json")]
    return "".join(page.text for page in pages)


async def test_what_users_say_is_in_no_span_metric_page_or_log(
    traced: InMemory, collector: Collector, ready_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await say_everywhere(traced)
    page = await shown(admin_address(ready_file))
    traced.served.stop.set()
    await traced.served.exit_code

    spans = [span.SerializeToString() for span in collector.spans]
    assert len(spans) > 30
    assert "the engine failed" in caplog.text
    assert "INVALID_INPUT" in page
    for word in SAID.split():
        assert not any(word.encode() in span for span in spans)
        assert word not in page
        assert word not in caplog.text


async def test_what_users_say_is_in_spans_on_request_and_they_are_marked(
    collector: Collector, start_in_memory: StartInMemory, ready_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_in_memory(
        ready_file=ready_file, otlp_endpoint=collector.endpoint, trace_sample_ratio=1.0, record_utterances=True
    )
    [warning] = [record for record in caplog.records if "--record-utterances" in record.getMessage()]
    await say_everywhere(server)
    page = await shown(admin_address(ready_file))
    server.served.stop.set()
    await server.served.exit_code

    assert warning.levelname == "WARNING"
    assert {resource["intently.contains_utterances"] for resource in collector.resources} == {True}
    said = [attributes(span).get("gen_ai.input.messages", "null") for span in collector.spans]
    assert [{"role": "user", "parts": [{"type": "text", "content": SAID}]}] in map(json.loads, said)
    for word in SAID.split():
        assert word not in page
        assert word not in caplog.text


def test_every_line_of_the_json_log_is_an_object(tmp_path: Path, good_request: pb.ClassifyRequest) -> None:
    nobody = f"http://{free_address()}"  # so that the exporter has something to say
    with in_memory_server(tmp_path, "--log-format", "json", "--otlp-endpoint", nobody) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub: Any = IntentServiceStub(channel)
            stub.Classify(good_request, metadata=CALLER)
        server.terminate()

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all(set(line) >= {"timestamp", "level", "logger", "message", "trace_id", "span_id"} for line in lines)
    assert {"intently_server.app", "intently_server.drain"} <= {line["logger"] for line in lines}


async def test_the_log_names_the_trace_of_a_call(
    traced: InMemory, collector: Collector, good_request: pb.ClassifyRequest, json_log: io.StringIO
) -> None:
    traced.engine.fault = RuntimeError("the engine failed")
    with pytest.raises(grpc.aio.AioRpcError):
        await traced.served.intents.Classify(good_request, metadata=CALLER)

    root = root_of(await collector.wait_spans(5))
    [line] = [json.loads(text) for text in json_log.getvalue().splitlines() if "the engine failed" in text]
    assert (line["trace_id"], line["span_id"]) == (TRACE_ID, root.span_id.hex())
    assert line["level"] == "ERROR"


async def test_load_reports_travel_in_the_trailers(
    start_in_memory: StartInMemory, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(load_reports=True, max_in_flight=8)
    server.engine.hold()
    async with tapped(server.served.address) as (address, sent), grpc.aio.insecure_channel(address) as channel:
        stub: Any = IntentServiceStub(channel)
        held = server.served.intents.Classify(good_request)
        await server.engine.wait_running(1)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Classify(pb.ClassifyRequest())
        busy = load_report(bytes(sent))
        server.engine.release()
        await held
        while not {"rps_fractional", "eps"} <= (report := load_report(bytes(sent))).keys():
            sent.clear()
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Classify(pb.ClassifyRequest())
            await asyncio.sleep(0.01)

    assert busy["application_utilization"] == 1 / 8
    assert 0 < report["eps"] <= report["rps_fractional"]
    assert report["named_metrics"] == {"queued_requests": 0.0, "queued_tokens": 0.0}


async def test_no_load_reports_unless_they_are_wanted(server: InMemory, good_request: pb.ClassifyRequest) -> None:
    async with tapped(server.served.address) as (address, sent), grpc.aio.insecure_channel(address) as channel:
        stub: Any = IntentServiceStub(channel)
        await stub.Classify(good_request)

    assert b"grpc-status" in sent
    assert LOAD_REPORT not in sent
