"""Calls of each shape and service, to see who may make them; and calls that are refused, or need no credentials."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import model_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently.v1.model_service_pb2_grpc import ModelServiceStub

HELLO = pb.ClassifyRequest(text="hello")
Metadata = tuple[tuple[str, str], ...]


async def classify(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    """Whether an utterance is answered."""
    return bool((await IntentServiceStub(channel).Classify(HELLO, metadata=metadata, timeout=20)).predictions)


async def opens(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    """Whether a stream is opened."""
    call = IntentServiceStub(channel).ClassifyStream(metadata=metadata, timeout=20)
    return await is_opened(call)


async def is_opened(call: Any) -> bool:
    """Whether this stream is."""
    with contextlib.suppress(asyncio.InvalidStateError):  # the call has ended: reading says how
        await call.write(pb.ClassifyStreamRequest(config=pb.StreamConfig()))
    answer: pb.ClassifyStreamResponse = await call.read()
    return bool(answer.HasField("ready"))


async def models(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    """Whether models are listed."""
    request = model_service_pb2.ListModelsRequest()
    return bool((await ModelServiceStub(channel).ListModels(request, metadata=metadata, timeout=20)).models)


async def reflects(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    """Whether services are."""
    return bool(await reflected(channel, metadata))


CALLS: dict[str, Callable[[grpc.aio.Channel, Metadata], Awaitable[bool]]] = {
    "Classify": classify,
    "ClassifyStream": opens,
    "ListModels": models,
    "reflection": reflects,
}


async def reflected(channel: grpc.aio.Channel, metadata: Metadata = ()) -> set[str]:
    """Names of the services that reflection lists."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    async for answer in stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=20):
        return {service.name for service in answer.list_services_response.service}
    raise AssertionError("reflection said nothing")


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error of a call, which must be one."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def live(channel: grpc.aio.Channel) -> bool:
    """Whether health answers without credentials, by Check and by Watch."""
    health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest(service="")
    checked = await health.Check(request, timeout=20)
    watched = health.Watch(request, timeout=20)
    serving = health_pb2.HealthCheckResponse.SERVING
    return bool(checked.status == serving and (await watched.read()).status == serving)
