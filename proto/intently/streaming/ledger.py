"""What a stream owes its caller, and what is to be sent where: the state machine, apart from sockets and clocks.

An item is accepted, waits, is in flight on a link, waits again if the link ends or refuses it for a while, and is
settled once: with an answer, an error, or its deadline. It is under way until its result is handed out, and fewer are
than the server granted; how many results may wait to be taken has a bound of its own. A link is one ClassifyStream
call; one at a time is sent on, and those before it only finish what they have in flight.

With an accumulated context, order is part of the meaning: items are sent strictly in order, on a link only if the
context that the server has there is the one that the item must see, and a link is opened only once nothing is in
flight on another. Nothing is sent past an item that may yet become a turn: if it were refused for a while, those after
it would have been answered without it. Revisions that are not final become none, and newer ones follow them at once.

Whoever drives it asks after each event: is there a result to hand out, something to send, a link to open? Times are
seconds of one monotonic clock.
"""

from collections.abc import Sequence

from intently.answers import Classification, Turn
from intently.errors import IntentlyError, OverloadedError, UnavailableError
from intently.retry import RetryBudget, pause_before_retry
from intently.streaming.backoff import Backoff
from intently.streaming.conversation import MAX_TURNS, Conversation
from intently.streaming.item import Fate, Item
from intently.streaming.link import Close, Forget, Link, Message, Send, TakeBack
from intently.streaming.links import Links
from intently.streaming.owed import Owed
from intently.streaming.verdicts import cut_off, is_fatal, late, superseded, taken_back
from intently.streaming.waiting import Waiting
from intently.v1 import intent_service_pb2 as pb


class Ledger:
    """Keeps account of one stream.

    Args:
        ordered: Whether results are handed out in the order of the items.
        accumulate: Whether final items become context; results are in order then, too.
        initial_context: The context to begin with.
        budget: For items that a full server refused and named a time for.
        backoff: Paces the opening of links.
        max_untaken: Results that may wait to be taken before no more should be accepted that add to them.
    """

    def __init__(
        self,
        *,
        ordered: bool,
        accumulate: bool,
        initial_context: Sequence[Turn],
        budget: RetryBudget,
        backoff: Backoff,
        max_untaken: int,
    ) -> None:
        self._accumulate = accumulate
        self._max_untaken = max_untaken
        self._conversation = Conversation(initial_context)
        self._budget = budget
        self._owed = Owed(in_order=ordered or accumulate)
        self._waiting = Waiting()
        self._accepted = 0
        self._window = 0
        self._links = Links(backoff)
        self._replayed_turns = MAX_TURNS  # at most
        self._finishing = False
        self.setback: IntentlyError | None = None  # why there was no link, the last time
        self.failure: IntentlyError | None = None  # what has ended the stream

    # The caller's side.

    @property
    def has_room(self) -> bool:
        """Whether another item would be accepted: fewer than granted are under way."""
        return self._owed.under_way < self._window

    @property
    def crowded(self) -> bool:
        """Whether as many results wait to be taken as may."""
        return self._owed.untaken >= self._max_untaken

    @property
    def connected(self) -> bool:
        """Whether a server has opened a link, at any time."""
        return self._window > 0

    @property
    def finished(self) -> bool:
        """Whether nothing more will be accepted, and all is settled."""
        return self.failure is not None or (self._finishing and self._owed.unsettled == 0)

    @property
    def idle(self) -> bool:
        """Whether no result is left to be taken."""
        return len(self._owed) == 0

    def accept(self, message: pb.ClassifyItem, deadline: float) -> Item:
        """Takes an item, for which there must be room.

        Raises:
            ValueError: if its id is that of another item that holds a place.
        """
        if self._owed.find(message.request.request_id) is not None:
            raise ValueError("this request_id is that of an item whose answer has not been taken")
        self._accepted += 1
        item = Item(message, self._accepted, deadline)
        if self._accumulate:
            self._conversation.place(item)
        self._owed.add(item)
        for older in [each for each in self._waiting if item.replaces(each)]:
            self._withdraw(older, superseded())
        self._waiting.add(item)
        return item

    def cancel(self, request_id: str) -> None:
        """Takes an item back. One in flight keeps its answer if that is ready first; an unknown id is ignored."""
        item = self._owed.find(request_id)
        if item is None or item.result is not None or item.cancelled:
            return
        item.cancelled = True
        if item.link is None:
            self._withdraw(item, taken_back())
        else:
            item.link.to_cancel.append(request_id)

    def expire(self, item: Item) -> None:
        """The item's deadline has passed."""
        if item.result is not None:
            return
        if item.link is None:
            self._withdraw(item, (None if self._links.connected else item.setback or self.setback) or late())
            return
        if not item.cancelled:
            item.link.to_cancel.append(item.request_id)
        self._owed.settle(item, late())

    def reset_context(self) -> None:
        """Items from now on see nothing of the accumulated context."""
        self._conversation.reset()

    def finish(self) -> None:
        """Nothing more will be accepted."""
        self._finishing = True

    def fail(self, error: IntentlyError) -> None:
        """Ends the stream: what is not settled is settled with this error."""
        if self.failure is not None:
            return
        self.failure = error
        self._owed.settle_all(error)
        self._waiting.clear()
        self._links.leave_all()

    def results(self) -> list[Item]:
        """Items whose results are to be handed out now, each once."""
        return self._owed.results()

    def taken(self, item: Item) -> None:
        """The caller has the result: the place is free."""
        self._owed.take(item)
        self._conversation.forget_before(self._owed.oldest(after=self._accepted + 1))

    # The links' side.

    def wants_link_at(self) -> float | None:
        """When a link is to be opened; None if there is one, or something else must happen first."""
        if self.finished or (self._accumulate and self._links.busy):
            return None
        return self._links.open_at

    def open_link(self) -> Link:
        """A link is being opened."""
        return self._links.open()

    def context_for(self, link: Link, turns: int) -> list[Turn]:
        """The context that a link begins with, for a server that keeps so many turns of it."""
        link.turns = min(turns, self._replayed_turns)
        link.context = self._conversation.before(self._waiting.first, link.turns)
        return [said.turn for said in link.context]

    def opened(self, link: Link, grant: int, now: float) -> None:
        """The server has opened a link, and grants so many items in flight."""
        self.setback = None
        link.grant = self._window = max(1, grant)
        link.opened_at = now

    def responded(self, link: Link, request_id: str, answer: Classification) -> None:
        """The server has answered an item. What is not in flight there, or settled already, is dropped."""
        item = link.in_flight.pop(request_id, None)
        if item is None:
            return
        self._links.answered()
        self._budget.earn()
        self._conversation.settle(item, Fate.KEPT)
        self._owed.settle(item, answer)

    def refused(self, link: Link, request_id: str, error: IntentlyError, now: float) -> None:
        """The server has answered an item with an error."""
        item = link.in_flight.pop(request_id, None)
        if item is None:
            return
        item.link = None
        link.forget(item.said)
        if isinstance(error, UnavailableError):
            self._links.leave(link, now)
            self._wait_again(item, error)
            return
        self._links.answered()
        pause_s = pause_before_retry(error)
        settled = item.cancelled or item.result is not None
        if pause_s is not None and not settled and now + pause_s < item.deadline and self._budget.spend():
            item.not_before = now + pause_s
            self._wait_again(item, error)
            return
        self._conversation.settle(item, Fate.DROPPED)
        self._owed.settle(item, error)

    def leave(self, link: Link, now: float) -> None:
        """Nothing new is sent on the link: the server said that it ends, or refuses what comes."""
        self._links.leave(link, now)

    def ended(self, link: Link, error: IntentlyError | None, now: float) -> None:
        """A link is over: what it left unanswered waits again.

        Args:
            link: Which.
            error: Why; None if it ended in order.
            now: When.
        """
        if not self._links.remove(link, now, (error.retry_after_s if error is not None else None) or 0.0):
            return
        left, link.in_flight = list(link.in_flight.values()), {}
        if isinstance(error, OverloadedError) and error.retry_after_s is None and left:
            # gRPC refuses a message over the server's limit by ending the call: the largest is what did it.
            self._refuse_largest(left, error)
        why = error or cut_off()
        for item in left:
            item.link = None
            self._wait_again(item, why)
        if error is not None:
            self.setback = error
        if error is None or self._replayed_too_much(link, error):
            return
        if is_fatal(error):
            self.fail(error)

    def next_message(self, link: Link, now: float) -> Message | None:
        """What to send on a link now; it counts as sent. None if there is nothing."""
        while link.to_cancel:
            request_id = link.to_cancel.popleft()
            if request_id in link.in_flight:
                return TakeBack(request_id)
        if link is self._links.current and link.ready and not self.finished:
            message = self._next_item(link, now)
            if message is not None:
                return message
        if (link.leaving or self.finished) and not link.in_flight and not link.closed:
            link.closed = link.leaving = True
            return Close()
        return None

    def due_at(self, now: float) -> float | None:
        """When something that waits because a server named a time may be sent; None if nothing does."""
        return self._waiting.due_at(now)

    def _next_item(self, link: Link, now: float) -> Message | None:
        first = self._waiting.first
        if len(link.in_flight) >= link.grant or first is None:
            return None
        if not self._accumulate:
            item = next((each for each in self._waiting if _sendable(each, link, now)), None)
            return None if item is None else self._send(item, link)
        if not _sendable(first, link, now) or link.turn_under_way:
            return None
        needed = self._conversation.before(first, link.turns)
        if needed == link.newest_context():
            return self._send(first, link)
        if not needed:
            link.context.clear()
            return Forget()
        self._links.replace(link, now)  # the next one begins with the right context
        return None

    def _send(self, item: Item, link: Link) -> Send:
        self._waiting.remove(item)
        item.link = link
        link.in_flight[item.request_id] = item
        if item.said is not None:
            link.remember(item.said)
        return Send(item)

    # Items, from state to state.

    def _wait_again(self, item: Item, why: IntentlyError) -> None:
        """An item that a link did not answer waits for the next, unless its caller has no more use for it."""
        item.setback = why
        if item.result is not None:
            self._conversation.settle(item, Fate.DROPPED)
        elif item.cancelled:
            self._conversation.settle(item, Fate.DROPPED)
            self._owed.settle(item, taken_back())
        elif self._owed.any(lambda each: each.replaces(item)):
            self._conversation.settle(item, Fate.DROPPED)
            self._owed.settle(item, superseded())
        else:
            self._waiting.add(item)

    def _withdraw(self, item: Item, result: IntentlyError) -> None:
        """Settles an item that waits."""
        self._waiting.remove(item)
        self._conversation.settle(item, Fate.DROPPED)
        self._owed.settle(item, result)

    def _refuse_largest(self, left: list[Item], error: IntentlyError) -> None:
        largest = max(left, key=lambda item: item.message.ByteSize())
        left.remove(largest)
        self._conversation.settle(largest, Fate.DROPPED)
        self._owed.settle(largest, error)

    def _replayed_too_much(self, link: Link, error: IntentlyError) -> bool:
        """Whether the server refused a context that it once had: it takes fewer turns now, and will get fewer."""
        refused = any(violation.field.startswith("config.initial_context") for violation in error.violations)
        if not (refused and link.context and self.connected):
            return False
        self._replayed_turns = len(link.context) // 2
        return True


def _sendable(item: Item, link: Link, now: float) -> bool:
    """Whether it may go now: its time has come, and no other item with its id is in flight on the link."""
    return item.not_before <= now and item.request_id not in link.in_flight
