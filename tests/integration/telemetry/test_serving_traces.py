"""Traces of a real server: which calls have them, and what their spans tell."""

from collections import Counter

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.in_memory import InMemory, StartInMemory
from support.otlp_collector import Collector, attributes
from support.spans import CALLER, CALLER_SPAN, TRACE_ID, UNSAMPLED_CALLER, below, root_of
from support.stream_caller import StreamCaller

SERVICE = "intently.v1.IntentService"
STAGES = ["receive", "tokenize", "queue", "inference", "calibrate"]
SAID = "xylophone quagmire 7391"  # what a user says; nothing else has it


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
