"""Bad input over a real socket: INVALID_ARGUMENT that names the field, and a server that goes on without an ERROR."""

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import call_raw, fields_of, reason_of, rich_status, stream_raw, utf8_fault

pytestmark = pytest.mark.usefixtures("no_errors_logged")

TURN = pb.Turn(role=pb.ROLE_USER, text="hello")

# Requests that are wrong, and the field that must be named.
BAD_REQUESTS: dict[str, tuple[pb.ClassifyRequest, str]] = {
    "empty": (pb.ClassifyRequest(), "text"),
    "white space": (pb.ClassifyRequest(text=" \n\t "), "text"),
    "a text of 1 MB": (pb.ClassifyRequest(text="x" * 1_000_000), "text"),
    "a text of 1 MB that may be cut": (pb.ClassifyRequest(text="x" * 1_000_000, allow_truncation=True), "text"),
    "more tokens than fit": (pb.ClassifyRequest(text="wake me " * 3_000), "text"),
    "a context of more tokens than fit": (
        pb.ClassifyRequest(text="a", context=[pb.Turn(role=pb.ROLE_USER, text="wake me " * 300)] * 10),
        "context",
    ),
    "10,000 turns": (pb.ClassifyRequest(text="a", context=[TURN] * 10_000), "context"),
    "a turn without a role": (pb.ClassifyRequest(text="a", context=[TURN, pb.Turn(text="b")]), "context[1].role"),
    "a turn without text": (
        pb.ClassifyRequest(text="a", context=[pb.Turn(role=pb.ROLE_ASSISTANT)]),
        "context[0].text",
    ),
    "a long request id": (pb.ClassifyRequest(text="a", request_id="x" * 65), "request_id"),
    "a language that is none": (pb.ClassifyRequest(text="a", language_code="!"), "language_code"),
    "an unknown candidate": (
        pb.ClassifyRequest(text="a", candidate_intents=["no such intent"]),
        "candidate_intents[0]",
    ),
    "100,000 candidates": (
        pb.ClassifyRequest(text="a", candidate_intents=[f"intent {i}" for i in range(100_000)]),
        "candidate_intents",
    ),
    "negative top_k": (pb.ClassifyRequest(text="a", top_k=-1), "top_k"),
    "top_k of 0": (pb.ClassifyRequest(text="a", top_k=0), "top_k"),
    "min_confidence over 1": (pb.ClassifyRequest(text="a", min_confidence=1.5), "min_confidence"),
    "min_confidence NaN": (pb.ClassifyRequest(text="a", min_confidence=float("nan")), "min_confidence"),
    "an empty selector": (pb.ClassifyRequest(text="a", model=pb.ModelSelector()), "model"),
}
every_bad_request = pytest.mark.parametrize("name", BAD_REQUESTS)

# Bytes that are no ClassifyRequest, and the field that must be named.
BAD_BYTES = {
    "noise": (b"\xff" * 40, "(message)"),
    "text that is not UTF-8": (utf8_fault(2), "text"),
    "an id that is not UTF-8": (utf8_fault(1), "request_id"),
    "a turn that is not UTF-8": (b"\x1a\x04" + utf8_fault(2), "context[0].text"),
    "a message cut short": (pb.ClassifyRequest(text="wake me up").SerializeToString()[:-3], "(message)"),
}
every_bad_bytes = pytest.mark.parametrize("name", BAD_BYTES)


def config() -> pb.ClassifyStreamRequest:
    return pb.ClassifyStreamRequest(config=pb.StreamConfig())


def item(request: pb.ClassifyRequest, request_id: str = "bad") -> pb.ClassifyStreamRequest:
    message = pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request))
    message.item.request.request_id = request.request_id or request_id
    return message


def assert_refused(error: grpc.aio.AioRpcError, field: str) -> None:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(rich_status(error)) == "INVALID_INPUT"
    assert fields_of(rich_status(error)) == [field]


async def assert_answers(server: InMemory, request: pb.ClassifyRequest) -> None:
    assert (await server.served.intents.Classify(request)).predictions


@every_bad_request
async def test_unary(server: InMemory, good_request: pb.ClassifyRequest, name: str) -> None:
    request, field = BAD_REQUESTS[name]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(request)

    assert_refused(caught.value, field)
    assert server.engine.prompts == []
    await assert_answers(server, good_request)


@every_bad_request
async def test_one_of_a_batch(server: InMemory, good_request: pb.ClassifyRequest, name: str) -> None:
    request, field = BAD_REQUESTS[name]

    batch = await server.served.intents.BatchClassify(
        pb.BatchClassifyRequest(requests=[good_request, request, good_request])
    )

    assert [result.WhichOneof("result") for result in batch.results] == ["response", "error", "response"]
    assert batch.results[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert fields_of(batch.results[1].error) == [field]


@every_bad_request
async def test_one_of_a_stream(server: InMemory, good_request: pb.ClassifyRequest, name: str) -> None:
    request, field = BAD_REQUESTS[name]
    messages = [config(), item(request), item(good_request, "good")]

    answers = await stream_raw(server.served.channel, [message.SerializeToString() for message in messages])

    ready, *rest = answers
    assert ready.WhichOneof("message") == "ready"
    by_kind = {answer.WhichOneof("message"): answer for answer in rest}
    assert len(rest) == len(by_kind) == 2
    assert by_kind["response"].response.request_id == "good"
    assert by_kind["error"].error.request_id == messages[1].item.request.request_id[:64]
    assert fields_of(by_kind["error"].error.status) == [field]


@every_bad_bytes
async def test_unary_bytes(server: InMemory, good_request: pb.ClassifyRequest, name: str) -> None:
    data, field = BAD_BYTES[name]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call_raw(server.served.channel, "Classify", data)

    assert_refused(caught.value, field)
    await assert_answers(server, good_request)


@every_bad_bytes
async def test_the_first_bytes_of_a_stream(server: InMemory, good_request: pb.ClassifyRequest, name: str) -> None:
    data, _ = BAD_BYTES[name]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream_raw(server.served.channel, [b"\xff" + data])

    assert_refused(caught.value, "(message)")
    await assert_answers(server, good_request)


async def test_later_bytes_of_a_stream(server: InMemory, good_request: pb.ClassifyRequest) -> None:
    spoilt = b"\x12\x06\x0a\x04" + utf8_fault(2)  # item.request.text
    messages = [config().SerializeToString(), b"\xff\xff", spoilt, item(good_request, "good").SerializeToString()]

    _, *answers = await stream_raw(server.served.channel, messages)

    errors = [answer.error for answer in answers if answer.HasField("error")]
    assert [fields_of(error.status) for error in errors] == [["(message)"], ["item.request.text"]]
    assert [answer.response.request_id for answer in answers if answer.HasField("response")] == ["good"]


@pytest.mark.parametrize("size", [0, 257, 100_000])
async def test_batches_of_a_wrong_size(server: InMemory, good_request: pb.ClassifyRequest, size: int) -> None:
    batch = pb.BatchClassifyRequest(requests=[pb.ClassifyRequest(text="a")] * size)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.BatchClassify(batch)

    assert_refused(caught.value, "requests")
    assert server.engine.prompts == []
    await assert_answers(server, good_request)


@pytest.mark.parametrize(
    ("first", "field"),
    [
        (None, "config"),
        (pb.ClassifyStreamRequest(), "config"),
        (item(pb.ClassifyRequest(text="a")), "config"),
        (pb.ClassifyStreamRequest(cancel=pb.CancelItem(request_id="a")), "config"),
        (pb.ClassifyStreamRequest(reset_context=pb.ResetContext()), "config"),
        (pb.ClassifyStreamRequest(config=pb.StreamConfig(max_in_flight=-1)), "config.max_in_flight"),
        (pb.ClassifyStreamRequest(config=pb.StreamConfig(initial_context=[TURN])), "config.initial_context"),
        (
            pb.ClassifyStreamRequest(config=pb.StreamConfig(accumulate_context=True, initial_context=[TURN] * 10_000)),
            "config.initial_context",
        ),
        (
            pb.ClassifyStreamRequest(
                config=pb.StreamConfig(accumulate_context=True, initial_context=[TURN, pb.Turn(text="b")])
            ),
            "config.initial_context[1].role",
        ),
        (pb.ClassifyStreamRequest(config=pb.StreamConfig(model=pb.ModelSelector())), "config.model"),
    ],
)
async def test_the_first_message_of_a_stream(
    server: InMemory, good_request: pb.ClassifyRequest, first: pb.ClassifyStreamRequest | None, field: str
) -> None:
    messages = [] if first is None else [first.SerializeToString()]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream_raw(server.served.channel, messages)

    assert_refused(caught.value, field)
    await assert_answers(server, good_request)


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([item(pb.ClassifyRequest(text="a"), "")], "item.request.request_id"),
        ([item(pb.ClassifyRequest(text="a"), "twice")] * 2, "item.request.request_id"),
        ([config()], "config"),
        ([pb.ClassifyStreamRequest()], "message"),
        (
            [
                pb.ClassifyStreamRequest(
                    item=pb.ClassifyItem(request=pb.ClassifyRequest(text="a", request_id="1"), sequence=3)
                )
            ],
            "item.sequence",
        ),
    ],
)
async def test_a_later_message_of_a_stream(
    server: InMemory, messages: list[pb.ClassifyStreamRequest], field: str
) -> None:
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    for message in messages:
        await stream.send(message)

    refused = await stream.receive()
    server.engine.release()
    rest = await stream.finish()

    assert fields_of(refused.error.status) == [field]
    assert [answer.WhichOneof("message") for answer in rest] == ["response"] * (len(messages) - 1)


async def test_a_model_that_is_not_served_never_answers_in_another_s_name(
    server: InMemory, good_request: pb.ClassifyRequest
) -> None:
    for selector in (pb.ModelSelector(revision="0" * 64), pb.ModelSelector(label="canary")):
        request = pb.ClassifyRequest(text="a", model=selector)
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await server.served.intents.Classify(request)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            await StreamCaller(server.served.intents).open(model=selector)
        batch = await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[request]))

        for error in (unary.value, stream.value):
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert reason_of(rich_status(error)) == "MODEL_NOT_SERVED"
        assert reason_of(batch.results[0].error) == "MODEL_NOT_SERVED"
    assert server.engine.prompts == []
    await assert_answers(server, good_request)


@pytest.mark.parametrize(
    "request_",
    [
        pb.ClassifyRequest(text="a", candidate_intents=["意" * 65 + str(number) for number in range(20)]),
        pb.ClassifyRequest(text="a", candidate_intents=["\x01" * 65 + str(number) for number in range(20)]),
        pb.ClassifyRequest(text="a", context=[pb.Turn()] * 16),
    ],
    ids=["chinese", "control characters", "turns"],
)
async def test_however_much_is_wrong_the_error_fits_in_the_trailers(
    server: InMemory, request_: pb.ClassifyRequest
) -> None:
    for _ in range(20):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.served.intents.Classify(request_)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert len(fields_of(rich_status(caught.value))) == 10


async def test_what_users_said_is_not_in_an_error(server: InMemory) -> None:
    said = "my number is 4929"
    request = pb.ClassifyRequest(text=f"{said} " * 5_000, context=[pb.Turn(text=said)])

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(request)

    assert said not in str(rich_status(caught.value))


async def test_a_message_over_the_limit_is_refused_and_the_connection_lives(
    start_in_memory: StartInMemory, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(max_message_bytes=10_000)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(pb.ClassifyRequest(text="x" * 20_000))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await assert_answers(server, good_request)
