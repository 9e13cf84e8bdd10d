"""The asyncio client and the command, against a server on a real socket."""

import asyncio
import json
from typing import Any

import grpc
import pytest

from intently import (
    Classification,
    DeadlineExceededError,
    IntentClient,
    InvalidRequestError,
    ModelNotServedError,
    OverloadedError,
    Role,
    Turn,
    UnavailableError,
    cli,
)
from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.in_memory import InMemory, StartInMemory
from support.serving import free_address


async def test_an_answer_is_that_of_the_server(server: InMemory, bundle: Bundle) -> None:
    text = bundle.model.golden_vectors[0].text
    async with IntentClient(server.served.address) as client:
        answer = await client.classify(text, top_k=3, request_id="a")
    raw = await server.served.intents.Classify(pb.ClassifyRequest(text=text, top_k=3))
    assert [p.intent for p in answer.predictions] == [p.intent for p in raw.predictions]
    assert answer.confidence == raw.predictions[0].confidence
    assert answer.message.request_id == "a"
    assert answer.message.model.revision == bundle.model.revision


async def test_every_argument_reaches_the_server(server: InMemory, bundle: Bundle) -> None:
    first, second = bundle.model.intents[:2]
    async with IntentClient(server.served.address) as client:
        answer = await client.classify(
            "x " * 3000,
            context=[Turn(Role.USER, "hello"), Turn(Role.ASSISTANT, "what may I do?")],
            candidate_intents=[first, second],
            min_confidence=0.0,
            allow_truncation=True,
            language_code="en",
            revision=bundle.model.revision,
        )
    assert {p.intent for p in answer.predictions} == {first, second}
    assert answer.message.truncated


async def test_a_batch_has_a_result_for_each_request(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client:
        good, bad, whole = await client.classify_batch(["hello", "", pb.ClassifyRequest(text="hi", request_id="z")])
    assert isinstance(good, Classification)
    assert isinstance(bad, InvalidRequestError)
    assert bad.violations[0].field == "text"
    assert isinstance(whole, Classification)
    assert whole.message.request_id == "z"


async def test_models_and_intents_are_listed_whole(server: InMemory, bundle: Bundle) -> None:
    async with IntentClient(server.served.address) as client:
        models = await client.list_models()
        intents = await client.list_intents(models[0].name)
    assert [model.revision for model in models] == [bundle.model.revision]
    assert tuple(intent.name for intent in intents) == bundle.model.intents


async def test_errors_have_their_classes(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_in_flight=1, model_label=["stable"])
    async with IntentClient(server.served.address) as client:
        with pytest.raises(InvalidRequestError) as invalid:
            await client.classify("")
        assert [(v.field, v.description) for v in invalid.value.violations] == [("text", "is empty")]
        with pytest.raises(ModelNotServedError, match="stable"):
            await client.classify("hello", label="canary")
        assert await client.classify("hello", label="stable")

        server.engine.hold()
        waiting = asyncio.ensure_future(client.classify("hello"))
        await server.engine.wait_running(1)
        with pytest.raises(OverloadedError) as full:
            await client.classify("hello")
        assert full.value.retry_after_s is not None
        assert full.value.retry_after_s > 0
        server.engine.release()
        await waiting

        server.engine.hold()
        with pytest.raises(DeadlineExceededError):
            await client.classify("hello", timeout_s=0.1)
        await server.engine.wait_running(0)


async def test_revision_and_label_together_are_refused_before_the_call(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client:
        with pytest.raises(ValueError, match="not by both"):
            await client.classify("hello", revision="a", label="b")


async def test_a_server_that_is_not_there_is_unavailable_without_a_reason() -> None:
    async with IntentClient(free_address()) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.classify("hello", timeout_s=5)
    assert caught.value.reason == ""


class _Flaky:
    """Fails twice with a status, then answers; keeps the metadata of each attempt."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code
        self.attempts: list[dict[str, str | bytes]] = []

    async def classify(self, _request: bytes, context: Any) -> pb.ClassifyResponse:
        """Classify, as the generated code would call it."""
        self.attempts.append(dict(context.invocation_metadata()))
        if len(self.attempts) < 3:
            await context.abort(self._code, "not now")
        return pb.ClassifyResponse(outcome=pb.OUTCOME_AMBIGUOUS)

    def handler(self) -> grpc.GenericRpcHandler:
        """Handles Classify alone."""
        method: Any = grpc.unary_unary_rpc_method_handler(
            self.classify, response_serializer=pb.ClassifyResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler("intently.v1.IntentService", {"Classify": method})


@pytest.mark.parametrize(
    ("code", "attempts"), [(grpc.StatusCode.UNAVAILABLE, 3), (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)]
)
async def test_unavailable_alone_is_retried_and_the_revision_travels_as_metadata(
    code: grpc.StatusCode, attempts: int
) -> None:
    servicer, server = _Flaky(code), grpc.aio.server()
    server.add_generic_rpc_handlers((servicer.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with IntentClient(f"127.0.0.1:{port}") as client:
            if code is grpc.StatusCode.UNAVAILABLE:
                await client.classify("hello", revision="abc")
            else:
                with pytest.raises(OverloadedError):
                    await client.classify("hello", revision="abc")
    finally:
        await server.stop(0)
    assert len(servicer.attempts) == attempts
    assert all(metadata["x-intently-revision"] == "abc" for metadata in servicer.attempts)


async def test_the_command_answers_people_and_programs(
    server: InMemory, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    address, text = server.served.address, bundle.model.golden_vectors[0].text

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(cli.run, [*arguments, "--address", address])
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = await run("classify", text, "--context", "user: hello", "--top-k", "2")
    assert code == 0
    assert len(out.splitlines()) == 4
    code, out, _ = await run("classify", text, "--json")
    assert code == 0
    assert json.loads(out)["model"]["revision"] == bundle.model.revision
    code, out, _ = await run("models")
    assert (code, out.split()[0]) == (0, f"models/{bundle.model.name}")
    code, out, _ = await run("intents")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(bundle.model.intents)
    code, out, err = await run("classify", " ")
    assert (code, out, err) == (1, "", "intently: text: is empty\n")
