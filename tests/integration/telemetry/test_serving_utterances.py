"""What users say is told to nobody, unless the operator asked for it."""

import json
import logging
from pathlib import Path

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.admin_caller import admin_address, get
from support.in_memory import InMemory, StartInMemory
from support.otlp_collector import Collector, attributes
from support.stream_caller import StreamCaller

SAID = "xylophone quagmire 7391"  # what a user says; nothing else has it


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
    server.engine.fault = _quoting()
    with pytest.raises(grpc.aio.AioRpcError):
        await intents.Classify(good)
    with pytest.raises(grpc.aio.AioRpcError):
        await intents.BatchClassify(pb.BatchClassifyRequest(requests=[good]))


def _quoting() -> Exception:
    """A fault that quotes SAID, as do its cause and the members of its group."""
    try:
        raise ValueError(f"cannot compute {SAID!r}")
    except ValueError as cause:
        fault = ExceptionGroup(f"the engine failed at {SAID!r}", [KeyError(SAID)])
        fault.__cause__ = cause
        return fault


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
    for kind in ("ExceptionGroup", "ValueError", "KeyError"):
        assert caplog.text.count(f"builtins.{kind}") == 2  # of the call and of the batch
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
    warnings = [record for record in caplog.records if "--record-utterances" in record.getMessage()]
    await say_everywhere(server)
    page = await shown(admin_address(ready_file))
    server.served.stop.set()
    await server.served.exit_code

    assert [warning.levelname for warning in warnings] == ["WARNING"] * 2  # of traces, and of the log
    assert {resource["intently.contains_utterances"] for resource in collector.resources} == {True}
    said = [attributes(span).get("gen_ai.input.messages", "null") for span in collector.spans]
    assert [{"role": "user", "parts": [{"type": "text", "content": SAID}]}] in map(json.loads, said)
    assert not any(word in page for word in SAID.split())
    quoting = [record for record in caplog.records if record.exc_info and SAID in str(record.exc_info[1])]
    assert len(quoting) == 2
    assert all("may contain what a user said" in record.getMessage() for record in quoting)
    others = "".join(record.getMessage() for record in caplog.records if record not in quoting)
    assert not any(word in others for word in SAID.split())
