"""Any conversation on a stream: whatever is interleaved, each item gets exactly one answer, and one that fits.

Hypothesis drives a real stream over a real socket: items good and bad, the same id twice, revisions of utterances,
items taken back, bytes that are no message, an engine that stands still and goes on, and a server that drains. The
model keeps what each message may be answered with, as far as timing leaves that open.
"""

import asyncio
import contextlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from intently.v1 import intent_service_pb2 as pb
from support.memory_engine import MemoryEngineFactory
from support.paths import BUNDLE
from support.serving import serving
from support.wire import reason_of

GRANT = 4
OK = "OK"
TEXTS = {"good": "wake me", "empty": " ", "too many tokens": "word " * 3000}


@dataclass(slots=True)
class Sent:
    """A message that is owed an answer, and what that may be: OK or reasons."""

    request_id: str
    may: set[str]
    utterance_id: str = ""
    sequence: int = 0
    refused: bool = False  # whatever the timing


@dataclass(slots=True)
class Model:
    """What was sent on the stream."""

    sent: list[Sent] = field(default_factory=list)
    drained: bool = False

    def owe(self, sent: Sent) -> None:
        """One more answer is owed."""
        if self.drained:
            sent.may.add("DRAINING")
        self.sent.append(sent)


class Conversation(RuleBasedStateMachine):
    """One stream, from its opening to its end."""

    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.factory = MemoryEngineFactory()
        self.stack = contextlib.AsyncExitStack()
        self.answers: list[pb.ClassifyStreamResponse] = []
        self.outgoing: deque[bytes] = deque()

    def run(self, awaitable: Any) -> Any:
        """Runs it on the loop on which the server runs, within ten seconds."""
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, 10))

    @initialize(ordered=st.booleans(), accumulates=st.booleans(), held=st.booleans(), running=st.integers(1, GRANT))
    def open(self, ordered: bool, accumulates: bool, held: bool, running: int) -> None:
        self.ordered = ordered or accumulates
        self.accumulates = accumulates
        self.run(self._open(running, pb.StreamConfig(ordered=ordered, accumulate_context=accumulates)))
        if held:
            self.factory.engine.hold()

    async def _open(self, running: int, config: pb.StreamConfig) -> None:
        started = serving(BUNDLE, self.factory, max_running=running, stream_max_in_flight=GRANT)
        self.served = await self.stack.enter_async_context(started)
        self.factory.engine.prompts.clear()
        method: Any = self.served.channel.stream_stream("/intently.v1.IntentService/ClassifyStream")
        self.call = method()
        self.writer = asyncio.ensure_future(self._write())
        self.reader = asyncio.ensure_future(self._read())
        self._send(pb.ClassifyStreamRequest(config=config))

    def _send(self, message: pb.ClassifyStreamRequest) -> None:
        self.outgoing.append(message.SerializeToString())

    async def _write(self) -> None:
        """Writes what is to be sent, for as long as the stream is open; None ends it."""
        while not self.call.done():
            if not self.outgoing:
                await asyncio.sleep(0.001)
            elif (data := self.outgoing.popleft()) == b"end":
                await self.call.done_writing()
                return
            else:
                await self.call.write(data)

    async def _read(self) -> grpc.StatusCode:
        """Reads to the end; returns the status of the stream."""
        try:
            while (data := await self.call.read()) is not grpc.aio.EOF:
                self.answers.append(pb.ClassifyStreamResponse.FromString(data))
        except grpc.aio.AioRpcError as error:
            # gRPC's client says this of a stream that had ended in order when it was written to.
            if self.model.drained and "SendMessageOperation" in str(error.debug_error_string()):
                return grpc.StatusCode.OK
            raise
        code: grpc.StatusCode = await self.call.code()
        return code

    @rule(
        number=st.integers(0, 5),
        text=st.sampled_from(sorted(TEXTS)),
        utterance=st.sampled_from(["", "u", "v"]),
        sequence=st.integers(-1, 4),
        final=st.booleans(),
        context=st.booleans(),
    )
    def item(self, number: int, text: str, utterance: str, sequence: int, final: bool, context: bool) -> None:
        sent = Sent(str(number) if number else "", set(), utterance, sequence)
        turns = [pb.Turn(role=pb.ROLE_USER, text="hello")] if context else []
        same_id = any(other.request_id == sent.request_id for other in self.model.sent)
        wrong = not sent.request_id or sequence < 0 or (sequence and not utterance) or (context and self.accumulates)
        if wrong or text != "good" or same_id:
            sent.may.add("INVALID_INPUT")
        if not wrong and text == "good":
            sent.may.add(OK)
        sent.refused = bool(wrong) or text == "empty"
        if not sent.refused and utterance:
            for other in self.model.sent:
                if other.refused:
                    continue  # it replaced none, and none comes too late for it
                if other.utterance_id == utterance and other.sequence >= sequence:
                    sent.may.add("SUPERSEDED")  # it came too late
                elif other.utterance_id == utterance:
                    other.may.add("SUPERSEDED")
        self.model.owe(sent)
        request = pb.ClassifyRequest(request_id=sent.request_id, text=TEXTS[text], context=turns)
        item = pb.ClassifyItem(request=request, utterance_id=utterance, sequence=sequence, is_final=final)
        self._send(pb.ClassifyStreamRequest(item=item))

    @rule(number=st.integers(1, 5))
    def take_back(self, number: int) -> None:
        for sent in self.model.sent:
            if sent.request_id == str(number):
                sent.may.add("ITEM_CANCELLED")
        self._send(pb.ClassifyStreamRequest(cancel=pb.CancelItem(request_id=str(number))))

    @rule()
    def reset_context(self) -> None:
        self._send(pb.ClassifyStreamRequest(reset_context=pb.ResetContext()))

    @rule(data=st.sampled_from([b"\xff\xff\xff", b"\x12\x03\x0a\x01\xff", b"", b"\x0a\x00"]))
    def what_is_no_message(self, data: bytes) -> None:
        """Garbage, text that is not UTF-8, an empty message, and a second configuration."""
        self.model.owe(Sent("", {"INVALID_INPUT"}))
        self.outgoing.append(data)

    @rule()
    def hold(self) -> None:
        self.factory.engine.hold()

    @rule()
    def release(self) -> None:
        self.factory.engine.release()

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.03]))
    def pause(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        assert self.factory.engine.load().running <= GRANT

    @precondition(lambda self: not self.model.drained)
    @rule()
    def drain(self) -> None:
        self.run(self._received("ready"))
        self.model.drained = True
        for sent in self.model.sent:
            sent.may.add("DRAINING")  # those not read yet
        self.served.stop.set()
        self.run(self._received("drain"))

    async def _received(self, kind: str) -> None:
        while not any(answer.HasField(kind) for answer in self.answers):  # noqa: ASYNC110  # polled, as all here
            await asyncio.sleep(0.001)

    def teardown(self) -> None:
        if not hasattr(self, "call"):
            return
        self.factory.engine.release()
        self.outgoing.append(b"end")
        try:
            self.run(asyncio.wait([self.reader]))
            assert self.reader.result() is grpc.StatusCode.OK
            assert self.factory.engine.load().running == 0
            self._check()
        finally:
            self.writer.cancel()
            self.run(asyncio.gather(self.writer, return_exceptions=True))
            self.run(self.stack.aclose())

    def _check(self) -> None:
        ready, *rest = self.answers
        assert ready.ready.max_in_flight == GRANT
        notices = [message for message in rest if message.HasField("drain")]
        answers = [message for message in rest if not message.HasField("drain")]
        assert len(notices) == self.model.drained
        ids = [message.response.request_id or message.error.request_id for message in answers]
        # A stream that drains may end before it has read all: what it read, which is what was sent first, it answered.
        read = self.model.sent[: len(ids)] if self.model.drained else self.model.sent
        assert Counter(ids) == Counter(sent.request_id for sent in read)
        assert len(self.factory.engine.prompts) <= len(ids)
        if self.ordered:
            assert ids == [sent.request_id for sent in self.model.sent[: len(ids)]]
            assert all(outcome_of(each) in sent.may for each, sent in zip(answers, self.model.sent, strict=False))
        self._match(answers)

    def _match(self, answers: list[pb.ClassifyStreamResponse]) -> None:
        """Every answer is one that a message of its id may have, and no two answer the same message."""
        for request_id in {sent.request_id for sent in self.model.sent}:
            owed = [sent.may for sent in self.model.sent if sent.request_id == request_id]
            got = [outcome_of(answer) for answer in answers if id_of(answer) == request_id]
            assert are_answered(owed, got), (request_id, owed, got)


def are_answered(owed: list[set[str]], got: list[str]) -> bool:
    """Whether each outcome can be that of a message of its own."""
    if not got:
        return True
    of_first = {frozenset(may): number for number, may in enumerate(owed) if got[0] in may}  # equal ones are as good
    return any(are_answered(owed[:number] + owed[number + 1 :], got[1:]) for number in of_first.values())


@pytest.mark.parametrize(
    ("owed", "got", "answered"),
    [
        ([{"A", "B"}, {"C"}], ["A", "C"], True),
        ([{"A", "B"}, {"C"}], ["A", "B"], False),
        ([{"A", "B"}, {"A"}], ["A", "B"], True),
        ([{"A"}, {"A"}], ["A"], True),
    ],
)
def test_no_two_answers_are_of_one_message(owed: list[set[str]], got: list[str], answered: bool) -> None:
    assert are_answered(owed, got) == answered


def id_of(answer: pb.ClassifyStreamResponse) -> str:
    """Of the item that it answers."""
    return answer.response.request_id or answer.error.request_id


def outcome_of(answer: pb.ClassifyStreamResponse) -> str:
    """OK or the reason of the error."""
    return OK if answer.HasField("response") else reason_of(answer.error.status)


@pytest.mark.timeout(120)
def test_any_conversation_gets_its_answers() -> None:
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    Conversation.loop = loop
    Conversation.TestCase.settings = settings(
        max_examples=60,
        stateful_step_count=25,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        Conversation.TestCase("runTest").runTest()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
