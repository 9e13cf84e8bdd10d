"""JSON logs of a real server, which name traces."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.logs import configure_logs
from support.in_memory import InMemory, StartInMemory
from support.in_memory_server import in_memory_server
from support.otlp_collector import Collector
from support.serving import free_address
from support.spans import CALLER, TRACE_ID, UNSAMPLED_CALLER, root_of


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
    traced.engine.fault = RuntimeError()
    with pytest.raises(grpc.aio.AioRpcError):
        await traced.served.intents.Classify(good_request, metadata=CALLER)

    root = root_of(await collector.wait_spans(5))
    [line] = [json.loads(text) for text in json_log.getvalue().splitlines() if "RuntimeError" in text]
    assert (line["trace_id"], line["span_id"]) == (TRACE_ID, root.span_id.hex())
    assert line["level"] == "ERROR"


@pytest.mark.parametrize("admin", ["127.0.0.1:0", ""])
async def test_without_a_collector_the_log_names_the_caller_s_trace_or_one_of_the_call_s_own(
    start_in_memory: StartInMemory, good_request: pb.ClassifyRequest, json_log: io.StringIO, admin: str
) -> None:
    server = await start_in_memory(log_format="json", admin_address=admin)
    server.engine.fault = RuntimeError()
    for metadata in (CALLER, UNSAMPLED_CALLER, (), ()):
        with pytest.raises(grpc.aio.AioRpcError):
            await server.served.intents.Classify(good_request, metadata=metadata)

    lines = [json.loads(text) for text in json_log.getvalue().splitlines() if "RuntimeError" in text]
    assert [line["trace_id"] for line in lines[:2]] == [TRACE_ID] * 2
    assert len({line["trace_id"] for line in lines} - {None}) == 3
    assert None not in {line["span_id"] for line in lines}


async def test_with_a_collector_a_call_that_is_not_sampled_has_ids_too(
    start_in_memory: StartInMemory, collector: Collector, good_request: pb.ClassifyRequest, json_log: io.StringIO
) -> None:
    server = await start_in_memory(log_format="json", otlp_endpoint=collector.endpoint, trace_sample_ratio=0.0)
    server.engine.fault = RuntimeError()
    for metadata in (UNSAMPLED_CALLER, ()):
        with pytest.raises(grpc.aio.AioRpcError):
            await server.served.intents.Classify(good_request, metadata=metadata)

    first, second = [json.loads(text) for text in json_log.getvalue().splitlines() if "RuntimeError" in text]
    assert first["trace_id"] == TRACE_ID
    assert second["trace_id"] not in {None, TRACE_ID}
