"""Services that are closed are not there, and nothing else is missed."""

import grpc
from grpc_health.v1 import health_pb2

from support.guarded_calls import classify, models, reflected, refused
from support.in_memory import StartInMemory
from support.serving import Served


async def test_a_closed_model_service_is_not_there(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(model_service=False)
    channel = server.served.channel

    assert (await refused(models(channel, ()))).code() is grpc.StatusCode.UNIMPLEMENTED
    assert await classify(channel, ())
    assert await reflected(channel) == {
        "intently.v1.IntentService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert await readiness(server.served, "intently.v1.IntentService") == health_pb2.HealthCheckResponse.SERVING
    assert (await refused(readiness(server.served, "intently.v1.ModelService"))).code() is grpc.StatusCode.NOT_FOUND


async def readiness(served: Served, service: str) -> int:
    return int((await served.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)).status)


async def test_closed_reflection_is_not_there(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(reflection=False)

    assert (await refused(reflected(server.served.channel))).code() is grpc.StatusCode.UNIMPLEMENTED
    assert await classify(server.served.channel, ())
