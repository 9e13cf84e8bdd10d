"""Sends messages that are nearly right to every method, and looks for answers that should never be given."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from intently.v1 import intent_service_pb2, model_service_pb2
from intently.v1 import intent_service_pb2 as pb
from intently_server.model import Model
from support.hostile.mutation import Mutator

SERVICES = (
    intent_service_pb2.DESCRIPTOR.services_by_name["IntentService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
)
NEVER = ("INTERNAL", "UNKNOWN")
_HANGS_S = 20.0  # no call takes as long
_AT_ONCE = 16
_VALID = 0.3  # share of messages that are not broken
_LONGEST_CONVERSATION = 12
_CONFIG = pb.ClassifyStreamRequest(config=pb.StreamConfig()).SerializeToString()
_WROTE_TOO_LATE = "Internal error from Core"  # grpc.aio's own word to who writes to a stream that has just ended
_LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(slots=True)
class Findings:
    """What came back.

    Attributes:
        cases: Calls and streams that were made.
        statuses: How they ended, "METHOD STATUS" each; also of items and of requests in batches.
        faults: What should never have come, the seed and number of the case with it.
    """

    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class WireFuzz:
    """Fuzzes one server.

    Args:
        address: HOST:PORT.
        seed: Of all cases: case n is the same in every run with this seed.
        words: Texts that mean something to the server.
    """

    def __init__(self, address: str, seed: int, words: tuple[str, ...]) -> None:
        self._address = address
        self._seed = seed
        self._words = words
        self._methods = [method for service in SERVICES for method in service.methods]
        self.findings = Findings()

    async def run(self, *, cases: int | None = None, seconds: float | None = None) -> Findings:
        """Runs so many cases, or for so long; a fault does not end it."""
        until = None if seconds is None else time.monotonic() + seconds
        async with grpc.aio.insecure_channel(self._address, options=_LARGE) as channel:
            number = 0
            while (cases is None or number < cases) and (until is None or time.monotonic() < until):
                await asyncio.gather(*(self._case(channel, number + each) for each in range(_AT_ONCE)))
                number += _AT_ONCE
            await self._check_health(channel)
        return self.findings

    async def _case(self, channel: grpc.aio.Channel, number: int) -> None:
        dice = random.Random(f"{self._seed} {number}")
        mutator, method = Mutator(dice, self._words), dice.choice(self._methods)
        call: Any
        if method.name == "ClassifyStream":
            stream: Any = channel.stream_stream(_path(method))
            call = stream(_conversation(mutator, dice))
        elif method.server_streaming:
            watch: Any = channel.unary_stream(_path(method))
            call = watch(_message(mutator, dice, method), timeout=0.05)
        else:
            unary: Any = channel.unary_unary(_path(method))
            call = unary(_message(mutator, dice, method))
        self.findings.cases += 1
        try:
            async with asyncio.timeout(_HANGS_S):
                answers = [await call] if hasattr(call, "__await__") else [answer async for answer in call]
        except TimeoutError:
            call.cancel()
            self._fault(number, method, "no end")
        except grpc.aio.AioRpcError as error:
            self._count(number, method, error.code(), error.details() or "")
        else:
            self._count(number, method, grpc.StatusCode.OK, "")
            for answer in answers:
                self._look_into(number, method, answer)

    def _look_into(self, number: int, method: MethodDescriptor, answer: bytes) -> None:
        """Counts the statuses that are inside an answer."""
        inside = []
        if method.name == "BatchClassify":
            inside = [
                each.error for each in pb.BatchClassifyResponse.FromString(answer).results if each.HasField("error")
            ]
        elif method.name == "ClassifyStream":
            message = pb.ClassifyStreamResponse.FromString(answer)
            inside = [message.error.status] if message.HasField("error") else []
        for status in inside:
            self._count(number, method, _CODES[status.code], status.message)

    def _count(self, number: int, method: MethodDescriptor, code: grpc.StatusCode, details: str) -> None:
        if details == _WROTE_TOO_LATE:
            self.findings.statuses[f"{method.name} ended while it was written to"] += 1
            return
        self.findings.statuses[f"{method.name} {code.name}"] += 1
        if code.name in NEVER:
            self._fault(number, method, f"{code.name} {details}")

    def _fault(self, number: int, method: MethodDescriptor, what: str) -> None:
        self.findings.faults.append(f"seed {self._seed} case {number} {method.name}: {what}")

    async def _check_health(self, channel: grpc.aio.Channel) -> None:
        check = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", SERVICES[0].full_name):
            answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=_HANGS_S)
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                self.findings.faults.append(f"{service or 'liveness'} is {answer.status}, not SERVING")


def words_of(model: Model) -> tuple[str, ...]:
    """Texts that mean something to a server of this model."""
    said = (golden.text for golden in model.golden_vectors[:20])
    return (*model.intents[:5], model.revision, f"models/{model.name}", "models/", "stable", *said)


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _message(mutator: Mutator, dice: random.Random, method: MethodDescriptor) -> bytes:
    valid = mutator.message(method.input_type).SerializeToString()
    return valid if dice.random() < _VALID else mutator.broken(valid)


def _conversation(mutator: Mutator, dice: random.Random) -> Any:
    """The messages of a stream; most begin as they should."""
    begin = [] if dice.random() < 0.1 else [_CONFIG if dice.random() < 0.7 else _item_of(mutator, dice, "config")]
    kinds = ("item", "item", "item", "cancel", "reset_context", "config", "")
    rest = [_item_of(mutator, dice, dice.choice(kinds)) for _ in range(dice.randrange(_LONGEST_CONVERSATION))]

    async def messages() -> Any:
        for message in (*begin, *rest):
            yield message

    return messages()


def _item_of(mutator: Mutator, dice: random.Random, kind: str) -> bytes:
    message = pb.ClassifyStreamRequest()
    if kind:
        inner = getattr(message, kind)
        inner.SetInParent()
        inner.MergeFrom(mutator.message(inner.DESCRIPTOR))
        if kind == "item":
            inner.request.request_id = str(dice.randrange(6))
    valid = message.SerializeToString()
    return valid if dice.random() < 0.6 else mutator.broken(valid)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
