"""Why there was no answer, as metrics, the status page and traces tell it: as the caller learnt it."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.admin_caller import admin_address, metrics, statusz
from support.in_memory import InMemory, StartInMemory
from support.otlp_collector import Collector, attributes
from support.spans import CALLER, TRACE_ID, below, root_of

CLASSIFY = "intently.v1.IntentService/Classify"


@pytest.mark.parametrize("method", ["Classify", "BatchClassify"])
async def test_a_deadline_that_passes_is_told_as_that(
    traced: InMemory, collector: Collector, ready_file: Path, good_request: pb.ClassifyRequest, method: str
) -> None:
    traced.engine.hold()
    request: Any = good_request if method == "Classify" else pb.BatchClassifyRequest(requests=[good_request])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(traced.served.intents, method)(request, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    admin = admin_address(ready_file)
    while not (seen := await metrics(admin)).sum("intently_server_calls_total"):  # noqa: ASYNC110  # a port is asked
        await asyncio.sleep(0.01)
    status, reason = "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"
    assert seen.sum("intently_server_calls_total", rpc_response_status_code=status, intently_reason=reason) == 1
    assert seen.sum("intently_server_utterances_total", intently_outcome="error", intently_reason=reason) == 1
    [error] = (await statusz(admin))["last_errors"]
    assert (error["status"], error["reason"], error["exception"]) == (status, reason, "")
    root = root_of(await collector.wait_spans(5))
    assert attributes(root)["intently.reason"] == reason
    stages = below(collector.spans, root if method == "Classify" else below(collector.spans, root)[0])
    assert attributes(stages[-1])["error.type"] == reason


async def test_calls_that_are_refused_are_counted_and_never_traced(
    start_in_memory: StartInMemory,
    collector: Collector,
    ready_file: Path,
    tmp_path: Path,
    good_request: pb.ClassifyRequest,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ann {hashlib.sha256(b'a token').hexdigest()}\n")
    server = await start_in_memory(
        ready_file=ready_file, otlp_endpoint=collector.endpoint, trace_sample_ratio=1.0, token_file=tokens
    )
    for metadata in ((), CALLER, (*CALLER, ("authorization", "Bearer another"))):
        with pytest.raises(grpc.aio.AioRpcError):
            await server.served.intents.Classify(good_request, metadata=metadata)
    await server.served.intents.Classify(good_request, metadata=(*CALLER, ("authorization", "Bearer a token")))

    spans = await collector.wait_spans(6)
    seen = await metrics(admin_address(ready_file))
    assert [span.name for span in spans if span.name == CLASSIFY] == [CLASSIFY]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert seen.sum("intently_server_calls_total", rpc_method=CLASSIFY, intently_reason="MISSING_TOKEN") == 2
    assert seen.sum("intently_server_calls_total", rpc_method=CLASSIFY, intently_reason="INVALID_TOKEN") == 1
    assert seen.sum("intently_server_calls_total", rpc_response_status_code="OK") == 1
