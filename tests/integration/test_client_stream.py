"""`client.stream()` against a server that stays: answers, room, order, context, taking back, and how it ends."""

import asyncio

import pytest

from intently import (
    CancelledItemError,
    Classification,
    ClassifyStream,
    DeadlineExceededError,
    IntentClient,
    InvalidRequestError,
    ModelNotServedError,
    OverloadedError,
    Role,
    StreamAnswer,
    SupersededError,
    Turn,
    UnavailableError,
)
from intently_server.bundle import Bundle
from intently_server.types import Role as ServerRole
from intently_server.types import Turn as ServerTurn
from support.in_memory import InMemory, StartInMemory
from support.serving import free_address

pytestmark = pytest.mark.timeout(60)


def prompt_of(bundle: Bundle, text: str, *said: str) -> tuple[int, ...]:
    """The ids of a prompt after these turns of the user."""
    return tuple(bundle.encoder.encode(text, [ServerTurn(ServerRole.USER, each) for each in said]).token_ids)


async def rest(stream: ClassifyStream) -> list[StreamAnswer]:
    """What still comes, once nothing more is sent."""
    await stream.done()
    return [answer async for answer in stream]


async def test_every_item_gets_its_answer(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        sent = [await stream.send(f"text {number}") for number in range(40)]
        answers = await rest(stream)
        unary = await client.classify("text 7")

    assert sorted(answer.request_id for answer in answers) == sorted(sent)
    by_id = {answer.request_id: answer.result for answer in answers}
    same = by_id[sent[7]]
    assert isinstance(same, Classification)
    assert (same.predictions, same.outcome) == (unary.predictions, unary.outcome)


async def test_many_tasks_may_each_wait_for_their_own_answer(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream(max_in_flight=4) as stream:
        texts = [f"text {number}" for number in range(50)]
        answers = await asyncio.gather(*(stream.classify(text, top_k=1) for text in texts))
        unary = [await client.classify(text, top_k=1) for text in texts]

    assert [answer.predictions for answer in answers] == [answer.predictions for answer in unary]


async def test_classify_and_iteration_do_not_see_each_other(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        sent = await stream.send("mine")
        answer = await stream.classify("own")
        assert [each.request_id for each in await rest(stream)] == [sent]

    assert answer.message.request_id != sent


async def test_every_argument_of_an_item_reaches_the_server(server: InMemory, bundle: Bundle) -> None:
    first, second = bundle.model.intents[:2]
    async with (
        IntentClient(server.served.address) as client,
        client.stream(revision=bundle.model.revision, max_in_flight=3) as stream,
    ):
        answer = await stream.classify(
            "x " * 3000,
            context=[Turn(Role.USER, "hello")],
            candidate_intents=[first, second],
            top_k=2,
            min_confidence=0.0,
            allow_truncation=True,
            language_code="en",
        )

    assert {p.intent for p in answer.predictions} == {first, second}
    assert answer.message.truncated


async def test_send_waits_while_the_grant_is_used_up(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream(max_in_flight=3) as stream:
        sending = asyncio.create_task(_send_all(stream, 10))
        await server.engine.wait_running(3)
        await client.list_models()  # on the same connection: a fourth item would have come before

        assert len(server.engine.prompts) == 3
        assert not sending.done()
        server.engine.release()
        answers = [answer async for answer in stream]
        await sending

    assert len(answers) == 10
    assert len(server.engine.prompts) == 10


@pytest.mark.parametrize("ordered", [False, True])
async def test_all_may_be_sent_before_the_first_answer_is_taken(server: InMemory, ordered: bool) -> None:
    async with IntentClient(server.served.address) as client, client.stream(ordered=ordered) as stream:
        sent = [await stream.send(f"text {number}") for number in range(200)]
        answers = await rest(stream)

    assert sorted(answer.request_id for answer in answers) == sorted(sent)
    assert all(isinstance(answer.result, Classification) for answer in answers)


async def test_answers_that_nobody_takes_are_bounded_and_the_sender_is_told(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream(max_untaken=5, max_in_flight=1) as stream:
        sent: list[str] = []
        with pytest.raises(DeadlineExceededError, match="iterate over the stream"):
            await _send_for_ever(stream, sent)
        assert len(sent) in {5, 6}  # the sixth was under way when the fifth was answered
        assert await stream.classify("somebody waits for this one")

        waiting = asyncio.create_task(stream.send("hello"))
        answers = [await anext(stream), await anext(stream)]
        sent.append(await waiting)
        answers += await rest(stream)

    assert [answer.request_id for answer in answers] == sent


async def _send_for_ever(stream: ClassifyStream, sent: list[str]) -> None:
    while True:
        sent.append(await stream.send("hello", timeout_s=0.5))


async def test_no_answer_kept_is_no_stream(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client:
        with pytest.raises(ValueError, match="max_untaken"):
            client.stream(max_untaken=0)


async def _send_all(stream: ClassifyStream, count: int) -> None:
    for number in range(count):
        await stream.send(f"text {number}")
    await stream.done()


async def test_answers_come_as_they_are_ready_or_in_order(server: InMemory, bundle: Bundle) -> None:
    orders = []
    for ordered in (False, True):
        server.engine.hold_only(prompt_of(bundle, "slow"))
        async with IntentClient(server.served.address) as client, client.stream(ordered=ordered) as stream:
            slow, quick = await stream.send("slow"), await stream.send("quick")
            await server.engine.wait_running(1)
            asyncio.get_running_loop().call_later(0.1, server.engine.release)
            orders.append([{slow: "slow", quick: "quick"}[each.request_id] for each in await rest(stream)])

    assert orders == [["quick", "slow"], ["slow", "quick"]]


async def test_context_is_accumulated_and_forgotten(server: InMemory, bundle: Bundle) -> None:
    async with (
        IntentClient(server.served.address) as client,
        client.stream(accumulate_context=True, initial_context=[Turn(Role.USER, "before")]) as stream,
    ):
        await stream.send("one")
        await stream.send("two", utterance_id="u", sequence=1)
        await rest_of(stream, 2)
        await stream.send("two and", utterance_id="u", sequence=2, is_final=True)
        await stream.send("three")
        await stream.reset_context()
        await stream.send("four")
        await stream.send("five")
        await rest(stream)

    assert server.engine.prompts == [
        prompt_of(bundle, "one", "before"),
        prompt_of(bundle, "two", "before", "one"),
        prompt_of(bundle, "two and", "before", "one"),
        prompt_of(bundle, "three", "before", "one", "two and"),
        prompt_of(bundle, "four"),
        prompt_of(bundle, "five", "four"),
    ]


async def rest_of(stream: ClassifyStream, count: int) -> list[StreamAnswer]:
    """The next so many answers."""
    return [await anext(stream) for _ in range(count)]


async def test_an_item_can_be_taken_back(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        kept, dropped = await stream.send("kept"), await stream.send("dropped")
        await server.engine.wait_running(2)
        await stream.cancel(dropped)
        await stream.cancel("never sent")
        first = await anext(stream)
        await server.engine.wait_running(1)
        server.engine.release()
        second = await anext(stream)

    assert first.request_id == dropped
    assert isinstance(first.result, CancelledItemError)
    assert second.request_id == kept
    assert isinstance(second.result, Classification)


async def test_a_cancelled_task_takes_its_item_back(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        waiting = asyncio.create_task(stream.classify("hello"))
        await server.engine.wait_running(1)
        waiting.cancel()
        await server.engine.wait_running(0)
        server.engine.release()
        assert await stream.classify("hello again")


async def test_an_item_has_a_deadline_of_its_own(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        with pytest.raises(DeadlineExceededError):
            await stream.classify("hello", timeout_s=0.1)
        await server.engine.wait_running(0)  # the server was told
        server.engine.release()
        assert await stream.classify("hello again")


async def test_an_item_has_the_client_s_deadline_where_it_has_none_of_its_own(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address, timeout_s=0.5) as client, client.stream() as stream:
        with pytest.raises(DeadlineExceededError):
            await stream.classify("hello")


async def test_a_bad_item_never_ends_the_stream(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        with pytest.raises(InvalidRequestError) as invalid:
            await stream.classify("")
        assert await stream.classify("hello")

    assert [violation.field for violation in invalid.value.violations] == ["text"]


async def test_an_item_over_the_servers_message_limit_is_told_and_no_other(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_message_bytes=50_000)
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        others = [asyncio.create_task(stream.classify(f"text {number}")) for number in range(5)]
        with pytest.raises(OverloadedError):
            await stream.classify("x" * 60_000)
        assert all(isinstance(answer, Classification) for answer in await asyncio.gather(*others))


async def test_an_id_in_use_is_refused_and_one_that_was_answered_is_not(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        await stream.send("hello", request_id="same")
        with pytest.raises(ValueError, match="request_id"):
            await stream.send("hello", request_id="same")
        server.engine.release()
        assert (await anext(stream)).request_id == "same"
        await stream.send("hello", request_id="same")
        assert [each.request_id for each in await rest(stream)] == ["same"]


async def test_a_newer_revision_takes_the_place_of_one_that_was_not_begun(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_running=1)
    server.engine.hold()
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        blocking = await stream.send("blocking")
        await server.engine.wait_running(1)
        older = await stream.send("wake", utterance_id="u", sequence=1)
        newer = await stream.send("wake me", utterance_id="u", sequence=2, is_final=True)
        replaced = await anext(stream)
        server.engine.release()
        answers = {each.request_id: each.result for each in [await anext(stream) for _ in range(2)]}

    assert replaced.request_id == older
    assert isinstance(replaced.result, SupersededError)
    assert set(answers) == {blocking, newer}
    assert all(isinstance(result, Classification) for result in answers.values())


@pytest.mark.parametrize("selected", [{"revision": "0" * 64}, {"label": "canary"}])
async def test_a_model_that_is_not_served_is_told_at_once(server: InMemory, selected: dict[str, str]) -> None:
    async with IntentClient(server.served.address) as client:
        with pytest.raises(ModelNotServedError):
            async with client.stream(**selected):  # type: ignore[arg-type]  # parametrized
                pytest.fail("it was opened")


async def test_a_context_needs_accumulation_and_its_newest_turns_count(server: InMemory) -> None:
    turns = [Turn(Role.USER, "hello")] * 200
    async with IntentClient(server.served.address) as client:
        with pytest.raises(ValueError, match="accumulate_context"):
            client.stream(initial_context=turns)
        async with client.stream(accumulate_context=True, initial_context=turns) as stream:
            assert await stream.classify("hello")


async def test_nobody_there_is_told_in_time() -> None:
    async with IntentClient(free_address()) as client:
        with pytest.raises(UnavailableError):
            async with client.stream(open_timeout_s=0.3):
                pytest.fail("it was opened")


async def test_after_done_nothing_more_is_taken(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        await stream.done()
        with pytest.raises(ValueError, match="done"):
            await stream.send("hello")
        assert await rest(stream) == []


async def test_closing_leaves_nothing_to_do(server: InMemory) -> None:
    server.engine.hold()
    async with IntentClient(server.served.address) as client:
        async with client.stream() as stream:
            waiting = [asyncio.create_task(stream.classify(f"text {number}")) for number in range(5)]
            await server.engine.wait_running(5)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await server.engine.wait_running(0)

    assert all(isinstance(result, CancelledItemError) for result in results)
    assert server.engine.cancelled == 5


async def test_a_client_that_is_closed_ends_its_streams_and_says_so(server: InMemory) -> None:
    server.engine.hold()
    client = IntentClient(server.served.address)
    async with client.stream() as stream:
        waiting = [asyncio.create_task(stream.classify(f"text {number}")) for number in range(3)]
        await stream.send("sent")
        await server.engine.wait_running(4)
        await client.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        answer = await anext(stream)
        with pytest.raises(UnavailableError, match="client was closed"):
            await stream.send("too late")
        assert [answer async for answer in stream] == []
    with pytest.raises(UnavailableError, match="client was closed"):
        async with client.stream():
            pytest.fail("it was opened")

    assert [(type(result), str(result)) for result in [*results, answer.result]] == [
        (UnavailableError, "the client was closed")
    ] * 4


async def test_a_stream_closed_before_its_client_is_no_fault_of_anybody(server: InMemory) -> None:
    async with IntentClient(server.served.address) as client:
        stream = client.stream()
        async with stream:
            assert await stream.classify("hello")
        await stream.close()
    await stream.close()
