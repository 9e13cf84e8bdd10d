"""The stream's ledger against a model of servers: whatever is interleaved, each item gets exactly one result."""

from collections import deque
from dataclasses import dataclass, field

import grpc
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from intently import (
    CancelledItemError,
    Classification,
    DeadlineExceededError,
    IntentlyError,
    InvalidRequestError,
    OverloadedError,
    SupersededError,
    UnavailableError,
)
from intently.retry import RetryBudget
from intently.streaming.backoff import Backoff
from intently.streaming.item import Item
from intently.streaming.ledger import Ledger
from intently.streaming.link import Close, Forget, Link, Send, TakeBack
from intently.v1 import intent_service_pb2 as pb

TURNS = 3  # of context that a server keeps
TIMEOUT_S = 50.0
MAX_UNTAKEN = 3
SEPARATOR = "|"
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])

UNAVAILABLE = UnavailableError(grpc.StatusCode.UNAVAILABLE, "lost")
FULL = OverloadedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "OVERLOADED", retry_after_s=0.0)
FULL_FOR_GOOD = OverloadedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "OVERLOADED")
BAD = InvalidRequestError(grpc.StatusCode.INVALID_ARGUMENT, "bad", "INVALID_INPUT")
TAKEN_BACK = CancelledItemError(grpc.StatusCode.CANCELLED, "taken back", "ITEM_CANCELLED")


@dataclass(eq=False)
class Server:
    """A server's side of one link.

    Attributes:
        in_flight: By request id, what it answers there: itself with the context that it saw, or an error.
    """

    link: Link
    ordered: bool
    context: deque[str] = field(default_factory=lambda: deque(maxlen=TURNS))
    in_flight: dict[str, Classification | IntentlyError] = field(default_factory=dict)
    draining: bool = False

    def receive(self, message: Send | TakeBack | Forget | Close) -> None:
        """What the client wrote."""
        match message:
            case Send(item):
                assert item.request_id not in self.in_flight, "an id twice in flight"
                assert len(self.in_flight) < self.link.grant, "more in flight than granted"
                self._take(item)
            case TakeBack(request_id):
                if request_id in self.in_flight:
                    self.in_flight[request_id] = TAKEN_BACK
            case Forget():
                self.context.clear()
            case Close():
                self.draining = True

    def fail(self, text: str) -> None:
        """What is not classified is no turn."""
        if text in self.context:
            self.context.remove(text)

    def _take(self, item: Item) -> None:
        text, request_id = item.message.request.text, item.request_id
        if self.draining:
            self.in_flight[request_id] = UNAVAILABLE
        elif text.startswith("bad"):
            self.in_flight[request_id] = BAD
        else:
            response = pb.ClassifyResponse(
                request_id=request_id, model=pb.ModelInfo(model=SEPARATOR.join(self.context))
            )
            self.in_flight[request_id] = Classification.from_message(response)
            if item.said is not None:
                self.context.append(text)


@dataclass(frozen=True)
class Sent:
    """What the model remembers of an accepted item."""

    text: str
    final: bool
    epoch: int


class StreamMachine(RuleBasedStateMachine):
    """Any order of events. Subclasses say how the stream is configured."""

    ordered = False
    accumulate = False

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(
            ordered=self.ordered,
            accumulate=self.accumulate,
            initial_context=(),
            budget=RetryBudget(tokens=1e9),
            backoff=Backoff(jitter=lambda: 0.0),
            max_untaken=MAX_UNTAKEN,
        )
        self.now = 0.0
        self.servers: list[Server] = []
        self.gone: list[tuple[Link, str]] = []  # answers that are still on their way from links that ended
        self.accepted: list[Item] = []
        self.sent: dict[Item, Sent] = {}
        self.results: list[Item] = []
        self.untaken: list[Item] = []
        self.kept: set[str] = set()  # texts that were classified
        self.epoch = 0
        self.finishing = False
        self._link_with(2)

    # The caller.

    @precondition(lambda self: self.ledger.has_room and not self.ledger.crowded and not self.finishing)
    @rule(
        name=NAMES,
        bad=st.sampled_from([False, False, True]),
        utterance=st.sampled_from(["", "", "u", "v"]),
        final=st.booleans(),
        written=st.booleans(),
    )
    def send(self, name: str, bad: bool, utterance: str, final: bool, written: bool) -> None:
        """An item under any id; one that is in use is refused. It is written at once, or not yet."""
        number = len(self.accepted) + 1
        text = f"{'bad' if bad else 'good'}-{number}"
        message = pb.ClassifyItem(
            request=pb.ClassifyRequest(request_id=name, text=text),
            utterance_id=utterance,
            sequence=number if utterance else 0,
            is_final=final,
        )
        taken = {item.request_id for item in self.accepted if item not in self.results or item in self.untaken}
        if name in taken:
            with pytest.raises(ValueError, match="request_id"):
                self.ledger.accept(message, self.now + TIMEOUT_S)
            return
        item = self.ledger.accept(message, self.now + TIMEOUT_S)
        self.accepted.append(item)
        self.sent[item] = Sent(text, final or not utterance, self.epoch)
        for server in self.servers if written else []:
            self._write(server, most=5)

    @rule()
    def reset(self) -> None:
        """The accumulated context is forgotten."""
        self.ledger.reset_context()
        self.epoch += 1

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        """An item is taken back, or none."""
        self.ledger.cancel(name)

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """The caller takes an answer."""
        self.collect()
        if self.untaken:
            item = data.draw(st.sampled_from(self.untaken))
            self.untaken.remove(item)
            self.ledger.taken(item)

    @rule()
    def finish(self) -> None:
        """The caller has nothing more to send."""
        if len(self.accepted) > 8:
            self.ledger.finish()
            self.finishing = True

    # Time.

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """An item's deadline has passed."""
        self.ledger.expire(data.draw(st.sampled_from(self.accepted[-4:])))

    # Links and servers.

    @precondition(lambda self: self.wants_link())
    @rule(grant=st.integers(1, 4), works=st.booleans())
    def open_link(self, grant: int, works: bool) -> None:
        """A link is opened, or nobody is there."""
        if works:
            self._link_with(grant)
        else:
            self.ledger.ended(self.ledger.open_link(), UNAVAILABLE, self.now)

    def wants_link(self) -> bool:
        """Whether a link is to be opened now."""
        open_at = self.ledger.wants_link_at()
        return open_at is not None and open_at <= self.now

    def _link_with(self, grant: int) -> None:
        link = self.ledger.open_link()
        server = Server(link, self.ordered or self.accumulate)
        if self.accumulate:
            assert not any(each.in_flight for each in self.servers), "a context is replayed before it is complete"
            server.context.extend(turn.text for turn in self.ledger.context_for(link, TURNS))
        self.ledger.opened(link, grant, self.now)
        self.servers.append(server)

    @precondition(lambda self: self.servers)
    @rule(data=st.data(), most=st.integers(1, 5))
    def write(self, data: st.DataObject, most: int) -> None:
        """A link carries some of what there is to send."""
        self._write(data.draw(st.sampled_from(self.servers)), most)

    def _write(self, server: Server, most: int) -> None:
        for _ in range(most):
            message = self.ledger.next_message(server.link, self.now)
            if message is None:
                return
            server.receive(message)

    @precondition(lambda self: any(server.in_flight for server in self.servers))
    @rule(data=st.data(), mood=st.sampled_from(["fine", "fine", "fine", "full", "full for good"]))
    def answer(self, data: st.DataObject, mood: str) -> None:
        """A server answers an item, perhaps twice."""
        server = data.draw(st.sampled_from([each for each in self.servers if each.in_flight]))
        ids = list(server.in_flight)
        request_id = ids[0] if server.ordered else data.draw(st.sampled_from(ids))
        self._answer(server, request_id, {"full": FULL, "full for good": FULL_FOR_GOOD}.get(mood))
        if data.draw(st.booleans()) and request_id not in server.link.in_flight:
            self._say(server.link, request_id, UNAVAILABLE if mood == "full" else Classification.from_message(_late()))

    def _answer(self, server: Server, request_id: str, instead: IntentlyError | None = None) -> None:
        answer, item = server.in_flight.pop(request_id), server.link.in_flight[request_id]
        text = self.sent[item].text
        if instead is not None and isinstance(answer, Classification):
            answer = instead
        if isinstance(answer, IntentlyError):
            server.fail(text)
        else:
            self.kept.add(text)
        self._say(server.link, request_id, answer)

    def _say(self, link: Link, request_id: str, answer: Classification | IntentlyError) -> None:
        if isinstance(answer, IntentlyError):
            self.ledger.refused(link, request_id, answer, self.now)
        else:
            self.ledger.responded(link, request_id, answer)

    @precondition(lambda self: self.servers)
    @rule(data=st.data(), heard=st.booleans())
    def drain(self, data: st.DataObject, heard: bool) -> None:
        """A server is about to end a link, and the client hears of it, or not yet."""
        server = data.draw(st.sampled_from(self.servers))
        server.draining = True
        if heard:
            self.ledger.leave(server.link, self.now)

    @precondition(lambda self: self.servers)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """A link breaks; its answers are late."""
        server = data.draw(st.sampled_from(self.servers))
        self.servers.remove(server)
        self.gone += [(server.link, request_id) for request_id in server.in_flight]
        self.ledger.ended(server.link, UNAVAILABLE, self.now)

    @rule()
    def hear_late(self) -> None:
        """What was on its way from links that ended arrives after all: nobody may get it."""
        for link, request_id in self.gone:
            self.ledger.responded(link, request_id, Classification.from_message(_late()))
            self.ledger.refused(link, request_id, UNAVAILABLE, self.now)

    # What must hold.

    @invariant()
    def collect(self) -> None:
        """Each result comes once, and is one that the item may have."""
        for item in self.ledger.results():
            assert item not in self.results, "a result twice"
            self.results.append(item)
            self.untaken.append(item)
            self._check(item)
        if self.ordered or self.accumulate:
            assert self.results == self.accepted[: len(self.results)], "results out of order"

    def _check(self, item: Item) -> None:
        sent, result = self.sent[item], item.result
        if not isinstance(result, Classification):
            assert isinstance(
                result,
                UnavailableError
                | OverloadedError
                | DeadlineExceededError
                | CancelledItemError
                | SupersededError
                | InvalidRequestError,
            )
            assert not isinstance(result, InvalidRequestError) or sent.text.startswith("bad")
            assert not isinstance(result, CancelledItemError) or item.cancelled
            assert not isinstance(result, SupersededError) or item.message.utterance_id
            return
        assert result.message.request_id == item.request_id
        assert result.message.outcome != pb.OUTCOME_MATCHED, "a late duplicate was handed on"
        assert not sent.text.startswith("bad")
        if self.accumulate:
            self._check_context(item, [text for text in result.message.model.model.split(SEPARATOR) if text])

    def _check_context(self, item: Item, seen: list[str]) -> None:
        """What was classified must be in the context, what was not may have been, in order, the newest turns."""
        before = [
            self.sent[each].text
            for each in self.accepted[: item.number - 1]
            if self.sent[each].final
            and self.sent[each].epoch == self.sent[item].epoch
            and not self.sent[each].text.startswith("bad")
        ]
        places = [before.index(text) for text in seen]  # fails for what it must not see
        assert places == sorted(set(places)), "context out of order"
        newest = before if len(before) <= TURNS else before[places[0] :] if places else []
        assert [text for text in newest if text in self.kept and text not in seen] == []

    @invariant()
    def bounded(self) -> None:
        """No more is under way than was granted, at the most generous, and little more waits to be taken than may."""
        assert len([item for item in self.accepted if item not in self.results]) <= 4
        assert len(self.untaken) < MAX_UNTAKEN + 4

    @precondition(lambda self: not self.accepted)
    @invariant()
    def open_to_all(self) -> None:
        """Whoever has sent nothing may send."""
        assert self.ledger.has_room
        assert not self.ledger.crowded

    def teardown(self) -> None:
        """With servers that work, everything is answered, and the stream ends."""
        for _ in range(200):
            self.now += 1.0
            self.collect()
            while self.untaken:
                self.ledger.taken(self.untaken.pop())
            if self.wants_link():
                self._link_with(2)
            for server in list(self.servers):
                while (message := self.ledger.next_message(server.link, self.now)) is not None:
                    server.receive(message)
                for request_id in list(server.in_flight):
                    self._answer(server, request_id)
                if server.draining and not server.in_flight:
                    self.servers.remove(server)
                    self.ledger.ended(server.link, None, self.now)
            if self.results == self.accepted or len(self.results) == len(self.accepted):
                self.ledger.finish()
        assert len(self.results) == len(self.accepted), "an item has no result"
        assert self.ledger.finished
        assert self.ledger.idle
        assert self.servers == [], "a link was left open"


def _late() -> pb.ClassifyResponse:
    """An answer that must never be handed on."""
    return pb.ClassifyResponse(request_id="late", outcome=pb.OUTCOME_MATCHED)


class OrderedMachine(StreamMachine):
    """The same, in order."""

    ordered = True


class AccumulatingMachine(StreamMachine):
    """The same, with an accumulated context."""

    accumulate = True


_SETTINGS = settings(max_examples=200, stateful_step_count=60)

TestUnorderedStream = StreamMachine.TestCase
TestUnorderedStream.settings = _SETTINGS
TestOrderedStream = OrderedMachine.TestCase
TestOrderedStream.settings = _SETTINGS
TestAccumulatingStream = AccumulatingMachine.TestCase
TestAccumulatingStream.settings = _SETTINGS
