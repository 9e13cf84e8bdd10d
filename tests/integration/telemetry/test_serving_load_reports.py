"""Load reports of a real server, in the trailers of its answers."""

import asyncio
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.in_memory import InMemory, StartInMemory
from support.tap import LOAD_REPORT, load_report, tapped


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
