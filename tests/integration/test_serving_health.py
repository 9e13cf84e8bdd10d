"""Health and reflection over a real socket. The way down and the engine's death are in test_serving_errors.py."""

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from intently_server.app import serve
from intently_server.listening import AddressError
from intently_server.settings import Settings
from support.in_memory import InMemory, StartInMemory
from support.memory_engine import MemoryEngineFactory

SERVICES = ("intently.v1.IntentService", "intently.v1.ModelService")


async def reflected(channel: grpc.aio.Channel, **request: str) -> reflection_pb2.ServerReflectionResponse:
    """The answer to one reflection request."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]))
    return await answers.read()


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_a_serving_server_is_healthy(server: InMemory, service: str) -> None:
    answer = await server.served.health.Check(health_pb2.HealthCheckRequest(service=service))

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_service_has_no_health(server: InMemory) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.health.Check(health_pb2.HealthCheckRequest(service="another.Service"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(server: InMemory) -> None:
    answer = await reflected(server.served.channel, list_services="")

    names = {service.name for service in answer.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= names


async def test_reflection_gives_the_contract(server: InMemory) -> None:
    answer = await reflected(server.served.channel, file_containing_symbol="intently.v1.IntentService")

    files = answer.file_descriptor_response.file_descriptor_proto
    assert any(b"intently/v1/intent_service.proto" in file for file in files)


async def test_reflection_can_be_switched_off(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(reflection=False)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reflected(server.served.channel, list_services="")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_that_is_taken_is_refused(server: InMemory, bundle_path: Path) -> None:
    settings = Settings(bundle=bundle_path, address=server.served.address)

    with pytest.raises(AddressError, match=server.served.address):
        await serve(settings, MemoryEngineFactory())
