"""Streams over a real socket: one answer for each item, order, taking items back, context, and both ways to end."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from intently_server.types import Role, Turn
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import fields_of, reason_of, rich_status


def ids_of(answers: list[pb.ClassifyStreamResponse]) -> list[str]:
    """The request ids of answers, all of which must be responses."""
    assert all(answer.HasField("response") for answer in answers)
    return [answer.response.request_id for answer in answers]


def prompt_of(bundle: Bundle, text: str, *said: str) -> tuple[int, ...]:
    """The ids of a prompt after these turns of the user."""
    return tuple(bundle.encoder.encode(text, [Turn(Role.USER, each) for each in said]).token_ids)


async def test_every_item_gets_one_answer_and_half_close_ends_with_ok(server: InMemory, bundle: Bundle) -> None:
    stream = StreamCaller(server.served.intents)
    ready = await stream.open()
    sent = [f"item {number}" for number in range(40)]
    for request_id in sent:
        await stream.item(request_id, text=f"text of {request_id}")

    answers = await stream.finish()

    assert ready.model.revision == bundle.model.revision
    assert ready.model.label_set_version == bundle.model.label_set_version
    assert sorted(ids_of(answers)) == sorted(sent)


async def test_answers_are_those_of_unary_calls(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("a", text="wake me at seven")
    [answer] = await stream.finish()

    unary = await server.served.intents.Classify(pb.ClassifyRequest(text="wake me at seven", request_id="a"))

    for each in (unary, answer.response):
        each.ClearField("timing")
    assert answer.response == unary


async def test_what_is_in_flight_at_the_half_close_is_answered(server: InMemory) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    for request_id in "abc":
        await stream.item(request_id)
    await server.engine.wait_running(3)
    await stream.call.done_writing()

    server.engine.release()

    assert sorted(ids_of(await stream.rest())) == ["a", "b", "c"]


async def test_an_empty_stream_ends_with_ok(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()

    assert await stream.finish() == []


@pytest.mark.parametrize(("asked", "granted"), [(0, 8), (3, 3), (8, 8), (1000, 8)])
async def test_the_grant_is_what_was_asked_for_up_to_the_limit(
    start_in_memory: StartInMemory, asked: int, granted: int
) -> None:
    server = await start_in_memory(stream_max_in_flight=8)
    stream = StreamCaller(server.served.intents)

    assert (await stream.open(max_in_flight=asked)).max_in_flight == granted
    await stream.finish()


async def test_the_server_works_on_no_more_than_it_granted(server: InMemory) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    granted = (await stream.open(max_in_flight=5)).max_in_flight
    for number in range(50):
        await stream.item(str(number), text=f"text {number}")
    await server.engine.wait_running(granted)
    await asyncio.sleep(0.1)  # time in which it could take more

    taken = len(server.engine.prompts)
    server.engine.release()
    answers = await stream.finish()

    assert taken == granted
    assert sorted(ids_of(answers), key=int) == [str(number) for number in range(50)]


async def test_answers_come_as_they_are_ready(server: InMemory, bundle: Bundle) -> None:
    slow = prompt_of(bundle, "slow")
    server.engine.hold_only(slow)
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("first", text="slow")
    await stream.item("second", text="quick")

    first = await stream.receive()
    server.engine.release()
    rest = await stream.finish()

    assert ids_of([first, *rest]) == ["second", "first"]


@pytest.mark.parametrize("config", [{"ordered": True}, {"accumulate_context": True}])
async def test_answers_come_in_order_on_request(server: InMemory, bundle: Bundle, config: dict[str, bool]) -> None:
    server.engine.hold_only(prompt_of(bundle, "slow"))
    stream = StreamCaller(server.served.intents)
    await stream.open(**config)
    for request_id, text in (("1", "slow"), ("2", "quick"), ("3", ""), ("4", "quick")):
        await stream.item(request_id, text=text)
    await server.engine.wait_running(1)

    server.engine.release()
    answers = await stream.finish()

    assert [each.response.request_id or each.error.request_id for each in answers] == ["1", "2", "3", "4"]


async def test_an_item_can_be_taken_back(server: InMemory) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("kept")
    await stream.item("taken back")
    await server.engine.wait_running(2)

    await stream.cancel_item("taken back")
    await stream.cancel_item("never sent")
    refused = await stream.receive()
    await server.engine.wait_running(1)
    server.engine.release()
    rest = await stream.finish()

    assert refused.error.request_id == "taken back"
    assert refused.error.status.code == grpc.StatusCode.CANCELLED.value[0]
    assert reason_of(refused.error.status) == "ITEM_CANCELLED"
    assert server.engine.cancelled == 1
    assert ids_of(rest) == ["kept"]


async def test_context_is_accumulated_and_forgotten(server: InMemory, bundle: Bundle) -> None:
    stream = StreamCaller(server.served.intents)
    said = pb.Turn(role=pb.ROLE_USER, text="before")
    await stream.open(accumulate_context=True, initial_context=[said])
    await stream.item("1", text="one")
    await stream.item("2", text="two", utterance_id="u", sequence=1, is_final=False)
    await stream.item("3", text="two and", utterance_id="u", sequence=2, is_final=True)
    await stream.item("4", text="three")
    await stream.reset_context()
    await stream.item("5", text="four")
    await stream.item("6", text="five")
    await stream.finish()

    assert server.engine.prompts == [
        prompt_of(bundle, "one", "before"),
        prompt_of(bundle, "two", "before", "one"),
        prompt_of(bundle, "two and", "before", "one"),
        prompt_of(bundle, "three", "before", "one", "two and"),
        prompt_of(bundle, "four"),
        prompt_of(bundle, "five", "four"),
    ]


async def test_a_context_ends_where_no_prompt_can_hold_more(server: InMemory, bundle: Bundle) -> None:
    """What was cut on request is a turn all the same, and none that any prompt will have; nor is what came before."""
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    for request_id, text in (("1", "before"), ("2", "word " * 6_000), ("3", "after"), ("4", "at last")):
        request = pb.ClassifyRequest(request_id=request_id, text=text, allow_truncation=True)
        await stream.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request)))
        assert (await stream.receive()).response.truncated is (request_id == "2")
    assert await stream.finish() == []

    assert server.engine.prompts[-2:] == [prompt_of(bundle, "after"), prompt_of(bundle, "at last", "after")]


async def test_without_accumulation_items_know_nothing_of_each_other(server: InMemory, bundle: Bundle) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open(ordered=True)
    await stream.item("1", text="one")
    await stream.item("2", text="two")
    await stream.finish()

    assert server.engine.prompts == [prompt_of(bundle, "one"), prompt_of(bundle, "two")]


async def test_what_was_refused_never_becomes_context(server: InMemory, bundle: Bundle) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    await stream.item("1", text="")
    await stream.item("2", text="x" * 100_000)
    await stream.item("3", text="hello")

    answers = await stream.finish()

    assert [fields_of(each.error.status) for each in answers[:2]] == [["text"], ["text"]]
    assert ids_of(answers[2:]) == ["3"]
    assert server.engine.prompts == [prompt_of(bundle, "hello")]


async def test_an_item_s_own_context_is_refused_where_the_stream_keeps_one(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    request = pb.ClassifyRequest(request_id="1", text="a", context=[pb.Turn(role=pb.ROLE_USER, text="b")])
    await stream.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request)))

    [answer] = await stream.finish()

    assert fields_of(answer.error.status) == ["item.request.context"]


async def test_accumulated_context_is_bounded_in_turns(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    server = await start_in_memory(max_context_turns=2)
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    for number in range(5):
        await stream.item(str(number), text=f"text {number}")
    answers = await stream.finish()

    assert ids_of(answers) == ["0", "1", "2", "3", "4"]
    assert server.engine.prompts[-1] == prompt_of(bundle, "text 4", "text 2", "text 3")


async def test_accumulated_context_is_bounded_in_tokens(server: InMemory, bundle: Bundle) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    long_text = "wake me up at seven " * 40
    for number in range(6):
        await stream.item(str(number), text=long_text)
    answers = await stream.finish()

    assert ids_of(answers) == ["0", "1", "2", "3", "4", "5"]
    assert answers[-1].response.truncated
    assert all(len(prompt) <= bundle.model.limits.max_input_tokens for prompt in server.engine.prompts)


async def test_shutdown_announces_itself_and_loses_nothing(server: InMemory) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("in flight")
    await server.engine.wait_running(1)

    server.served.stop.set()
    notice = await stream.receive()
    await stream.item("too late")
    refused = await stream.receive()
    server.engine.release()
    rest = await stream.rest()

    assert notice.drain.reason == pb.DRAIN_REASON_SHUTDOWN
    assert notice.drain.grace.seconds > 0
    assert refused.error.request_id == "too late"
    assert reason_of(refused.error.status) == "DRAINING"
    assert ids_of(rest) == ["in flight"]
    assert await server.served.exit_code == 0


async def test_an_item_that_waits_for_its_place_at_shutdown_is_answered_too(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_max_in_flight=1)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("in flight")
    await stream.item("waiting")
    await server.engine.wait_running(1)
    await asyncio.sleep(0.1)  # the server reads the second item, and waits

    server.served.stop.set()
    notice = await stream.receive()
    server.engine.release()
    first, second = await stream.rest()

    assert notice.HasField("drain")
    assert first.response.request_id == "in flight"
    assert second.error.request_id == "waiting"
    assert reason_of(second.error.status) == "DRAINING"


async def test_a_stream_hears_of_the_engine_s_death(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()

    server.engine.die()
    notice = await stream.receive()

    assert notice.drain.grace.ToNanoseconds() < 2e9
    assert await server.served.exit_code == 1


async def test_a_text_of_too_many_tokens_leaves_the_accumulated_context_as_it_was(
    server: InMemory, bundle: Bundle
) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    answers = []
    for number, text in enumerate(["one", "word " * 3000, "two"]):
        await stream.item(str(number), text=text)
        answers.append(await stream.receive())
    await stream.finish()

    assert fields_of(answers[1].error.status) == ["text"]
    assert not answers[2].response.truncated
    assert server.engine.prompts[-1] == prompt_of(bundle, "two", "one")


async def test_shutdown_ends_an_idle_stream_in_order(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()

    server.served.stop.set()
    [notice] = await stream.rest()

    assert notice.HasField("drain")
    assert await server.served.exit_code == 0


async def test_shutdown_does_not_wait_for_a_stream_that_never_begins(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.call.wait_for_connection()
    await asyncio.sleep(0.1)  # until the server has it

    server.served.stop.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.receive()

    assert reason_of(rich_status(caught.value)) == "DRAINING"
    assert await server.served.exit_code == 0


async def test_streams_do_not_see_each_other(server: InMemory) -> None:
    streams = [StreamCaller(server.served.intents) for _ in range(5)]
    for stream in streams:
        await stream.open()
    for stream in streams:
        await stream.item("same id")

    answers = [await stream.finish() for stream in streams]

    assert [ids_of(each) for each in answers] == [["same id"]] * 5


async def test_a_caller_that_goes_away_leaves_nothing_to_do(
    server: InMemory, no_errors_logged: Callable[[], None]
) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    for number in range(10):
        await stream.item(str(number))
    await server.engine.wait_running(10)

    stream.call.cancel()
    await server.engine.wait_running(0)

    assert server.engine.cancelled == 10


async def test_what_failed_costs_no_older_turn_its_place(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    server = await start_in_memory(max_context_turns=2)
    stream = StreamCaller(server.served.intents)
    await stream.open(accumulate_context=True)
    for number, text in enumerate(["one", "two", " ", " ", "three"]):
        await stream.item(str(number), text=text)
        await stream.receive()
    server.engine.hold()
    for number in range(5, 8):
        await stream.item(str(number), text="never mind")
        await server.engine.wait_running(number - 4)
    for number in range(5, 8):
        await stream.cancel_item(str(number))
        assert reason_of((await stream.receive()).error.status) == "ITEM_CANCELLED"
    server.engine.release()
    await stream.item("last", text="four")
    await stream.finish()

    assert server.engine.prompts[-1] == prompt_of(bundle, "four", "two", "three")


async def test_a_long_id_is_refused_and_not_kept(server: InMemory) -> None:
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("x" * 1_000_000)

    [answer] = await stream.finish()

    assert fields_of(answer.error.status) == ["request_id"]
    assert answer.error.request_id == "x" * 64
