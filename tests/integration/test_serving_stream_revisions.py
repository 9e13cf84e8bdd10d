"""Speech and typing on a stream: a newer revision of an utterance replaces those that the engine was not given yet."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from intently_server.types import Role, Turn
from support.admin_caller import admin_address, wait_sum
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import fields_of, reason_of


@pytest.fixture
async def busy(start_in_memory: StartInMemory) -> tuple[InMemory, StreamCaller]:
    """A server whose engine works on one request and is held at it, and a stream where all else must wait."""
    server = await start_in_memory(max_running=1)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("first", text="first")
    await server.engine.wait_running(1)
    return server, stream


@pytest.fixture
async def full(busy: tuple[InMemory, StreamCaller]) -> tuple[InMemory, StreamCaller]:
    """The same server, and a stream whose grant of one is used up by a revision that waits."""
    server, _ = busy
    stream = StreamCaller(server.served.intents)
    await stream.open(max_in_flight=1)
    await stream.item("older", text="wake", utterance_id="u", sequence=1)
    return server, stream


def is_superseded(answer: pb.ClassifyStreamResponse) -> bool:
    """Whether the item was replaced."""
    status = answer.error.status
    superseded = reason_of(status) == "SUPERSEDED" if answer.HasField("error") else False
    assert not superseded or status.code == grpc.StatusCode.ABORTED.value[0]
    return superseded


async def test_the_engine_works_on_the_latest_words_only(busy: tuple[InMemory, StreamCaller], bundle: Bundle) -> None:
    server, stream = busy
    said = ["wake", "wake me", "wake me at", "wake me at seven"]
    for number, text in enumerate(said):
        await stream.item(str(number), text=text, utterance_id="u", sequence=number, is_final=number == 3)
    replaced = [await stream.receive() for _ in range(3)]

    server.engine.release()
    rest = await stream.finish()

    assert [answer.error.request_id for answer in replaced if is_superseded(answer)] == ["0", "1", "2"]
    assert [answer.response.request_id for answer in rest] == ["first", "3"]
    assert server.engine.prompts[1:] == [tuple(bundle.encoder.encode("wake me at seven").token_ids)]


async def test_a_bad_revision_replaces_none_where_the_grant_is_used_up(full: tuple[InMemory, StreamCaller]) -> None:
    server, stream = full
    await stream.item("worse", text=" ", utterance_id="u", sequence=2)

    await asyncio.sleep(0.1)  # in which a faulty server replaces it
    server.engine.release()
    answers = await stream.finish()

    assert [answer.response.request_id for answer in answers] == ["older", ""]
    assert reason_of(answers[1].error.status) == "INVALID_INPUT"


async def test_a_newer_revision_needs_no_place_of_its_own_to_replace(full: tuple[InMemory, StreamCaller]) -> None:
    server, stream = full
    for sequence, request_id in enumerate(["newer", "newest"], start=2):
        await stream.item(request_id, text=request_id, utterance_id="u", sequence=sequence)
    replaced = [await stream.receive() for _ in range(2)]

    server.engine.release()
    rest = await stream.finish()

    assert [answer.error.request_id for answer in replaced if is_superseded(answer)] == ["older", "newer"]
    assert [answer.response.request_id for answer in rest] == ["newest"]


async def test_a_revision_that_has_started_is_finished(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_running=1)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("started", text="wake", utterance_id="u", sequence=1)
    await server.engine.wait_running(1)
    await stream.item("newer", text="wake me", utterance_id="u", sequence=2)

    server.engine.release()
    answers = await stream.finish()

    assert [answer.response.request_id for answer in answers] == ["started", "newer"]


async def test_utterances_do_not_replace_each_other(busy: tuple[InMemory, StreamCaller]) -> None:
    server, stream = busy
    await stream.item("a", utterance_id="u", sequence=1)
    await stream.item("b", utterance_id="v", sequence=2)
    await stream.item("c")

    server.engine.release()
    answers = await stream.finish()

    assert [answer.response.request_id for answer in answers] == ["first", "a", "b", "c"]


@pytest.mark.parametrize("sequence", [1, 2])
async def test_a_revision_that_is_not_newer_is_refused(busy: tuple[InMemory, StreamCaller], sequence: int) -> None:
    server, stream = busy
    await stream.item("newest", utterance_id="u", sequence=2)
    await stream.item("late", utterance_id="u", sequence=sequence)
    refused = await stream.receive()

    server.engine.release()
    answers = await stream.finish()

    assert refused.error.request_id == "late"
    assert is_superseded(refused)
    assert [answer.response.request_id for answer in answers] == ["first", "newest"]


@pytest.mark.parametrize("wrong", [{"text": " "}, {"candidates": ["no such intent"]}, {"top_k": 0}])
async def test_a_revision_that_is_refused_replaces_none(
    busy: tuple[InMemory, StreamCaller], wrong: dict[str, Any]
) -> None:
    server, stream = busy
    await stream.item("good", text="wake me", utterance_id="u", sequence=1)
    request = pb.ClassifyRequest(
        request_id="bad",
        text=wrong.get("text", "wake me at"),
        candidate_intents=wrong.get("candidates"),
        top_k=wrong.get("top_k"),
    )
    await stream.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request, utterance_id="u", sequence=2)))
    bad = await stream.receive()
    await stream.item("late", text="wake", utterance_id="u", sequence=1)
    late = await stream.receive()

    server.engine.release()
    answers = await stream.finish()

    assert (bad.error.request_id, reason_of(bad.error.status)) == ("bad", "INVALID_INPUT")
    assert late.error.request_id == "late"
    assert is_superseded(late)
    assert [answer.response.request_id for answer in answers] == ["first", "good"]


async def test_a_revision_keeps_its_utterance_s_place(busy: tuple[InMemory, StreamCaller]) -> None:
    server, stream = busy
    await stream.item("wake", utterance_id="u", sequence=1)
    other = StreamCaller(server.served.intents)
    await other.open()
    await stream.item("wake me", utterance_id="u", sequence=2)
    assert is_superseded(await stream.receive())

    server.engine.release()

    assert [answer.response.request_id for answer in await stream.finish()] == ["first", "wake me"]
    assert await other.finish() == []


async def test_a_replaced_final_revision_is_no_turn_of_the_context(
    start_in_memory: StartInMemory, bundle: Bundle, tmp_path: Path
) -> None:
    ready_file = tmp_path / "ready.json"
    server = await start_in_memory(max_running=1, ready_file=ready_file)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    await stream.item("0", text="hello")
    await server.engine.wait_running(1)
    await stream.item("1", text="wake me at six", utterance_id="u", sequence=1, is_final=True)
    await stream.item("2", text="wake me at seven", utterance_id="u", sequence=2, is_final=True)
    await stream.item("3", text="thanks")
    await wait_sum(admin_address(ready_file), 2, "intently_server_queued_requests")  # 2 in the place of 1, and 3
    server.engine.release()
    answers = await stream.finish()

    assert [answer.error.request_id for answer in answers if is_superseded(answer)] == ["1"]
    turns = [Turn(Role.USER, "hello"), Turn(Role.USER, "wake me at seven")]
    assert server.engine.prompts[-1] == tuple(bundle.encoder.encode("thanks", turns).token_ids)


async def test_the_id_of_an_utterance_is_bounded(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("a", utterance_id="u" * 65, sequence=1)

    [answer] = await stream.finish()

    assert fields_of(answer.error.status) == ["item.utterance_id"]
