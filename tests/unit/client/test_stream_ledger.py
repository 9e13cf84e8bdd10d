"""The stream's ledger, case by case: budget, pacing, poison, revisions, and what ends a stream."""

import grpc
import pytest

from intently import (
    Classification,
    DeadlineExceededError,
    FieldViolation,
    IntentlyError,
    InvalidRequestError,
    ModelNotServedError,
    OverloadedError,
    SupersededError,
    Turn,
    UnavailableError,
)
from intently.retry import RetryBudget
from intently.streaming.backoff import Backoff
from intently.streaming.item import Item
from intently.streaming.ledger import Ledger
from intently.streaming.link import Close, Link, Send, TakeBack
from intently.v1 import intent_service_pb2 as pb

LOST = UnavailableError(grpc.StatusCode.UNAVAILABLE, "lost")
FULL = OverloadedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "OVERLOADED", retry_after_s=1.0)
TOO_LARGE = OverloadedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max")


def ledger_of(*, ordered: bool = False, accumulate: bool = False, budget: RetryBudget | None = None) -> Ledger:
    return Ledger(
        ordered=ordered,
        accumulate=accumulate,
        initial_context=(),
        budget=budget or RetryBudget(),
        backoff=Backoff(jitter=lambda: 1.0),
        max_untaken=8,
    )


def opened(ledger: Ledger, now: float = 0.0, grant: int = 8) -> Link:
    """A link that the server has opened."""
    link = ledger.open_link()
    ledger.opened(link, grant, now)
    return link


def accepted(
    ledger: Ledger,
    request_id: str,
    text: str = "hello",
    utterance: str = "",
    sequence: int = 0,
    final: bool = False,
) -> Item:
    request = pb.ClassifyRequest(request_id=request_id, text=text)
    message = pb.ClassifyItem(request=request, utterance_id=utterance, sequence=sequence, is_final=final)
    return ledger.accept(message, deadline=100.0)


def sent(ledger: Ledger, link: Link, now: float = 0.0) -> list[str]:
    """The ids of the items that go out now."""
    ids = []
    while isinstance(message := ledger.next_message(link, now), Send):
        ids.append(message.item.request_id)
    assert message is None
    return ids


def answer(request_id: str) -> Classification:
    return Classification.from_message(pb.ClassifyResponse(request_id=request_id))


def test_an_overloaded_item_comes_again_at_its_time_and_not_before() -> None:
    ledger = ledger_of()
    link = opened(ledger)
    accepted(ledger, "a")
    assert sent(ledger, link) == ["a"]

    ledger.refused(link, "a", FULL, now=10.0)
    due = ledger.due_at(10.0)

    assert due is not None
    assert due >= 11.0
    assert sent(ledger, link, now=10.9) == []
    assert sent(ledger, link, now=due) == ["a"]


def test_the_budget_bounds_what_comes_again_and_answers_fill_it() -> None:
    ledger = ledger_of(budget=RetryBudget(tokens=1, per_answer=0.5))
    link = opened(ledger)
    for request_id in "abc":
        accepted(ledger, request_id)
    assert sent(ledger, link) == ["a", "b", "c"]

    ledger.refused(link, "a", FULL, now=0.0)
    ledger.refused(link, "b", FULL, now=0.0)
    assert [(item.request_id, item.result) for item in ledger.results()] == [("b", FULL)]

    assert sent(ledger, link, now=50.0) == ["a"]
    ledger.responded(link, "a", answer("a"))
    ledger.refused(link, "c", FULL, now=50.0)
    assert [item.request_id for item in ledger.results()] == ["a", "c"]
    accepted(ledger, "d")
    accepted(ledger, "e")
    assert sent(ledger, link, now=50.0) == ["d", "e"]
    ledger.responded(link, "d", answer("d"))
    ledger.refused(link, "e", FULL, now=50.0)
    assert [item.request_id for item in ledger.results()] == ["d"]  # there was budget again: "e" waits


def test_a_message_over_the_limit_costs_the_largest_item_and_no_other() -> None:
    ledger = ledger_of()
    link = opened(ledger)
    for request_id, text in (("a", "short"), ("b", "long" * 1000), ("c", "short")):
        accepted(ledger, request_id, text)
    sent(ledger, link)

    ledger.ended(link, TOO_LARGE, now=0.0)

    assert [(item.request_id, item.result) for item in ledger.results()] == [("b", TOO_LARGE)]
    assert sent(ledger, opened(ledger)) == ["a", "c"]


def test_a_newer_revision_takes_the_place_of_one_that_waits_here() -> None:
    ledger = ledger_of()
    link = opened(ledger, grant=4)
    first = accepted(ledger, "1", "wake", "u", 1)
    other = accepted(ledger, "x", "wake", "v", 1)
    second = accepted(ledger, "2", "wake me", "u", 2)

    assert sent(ledger, link) == ["x", "2"]
    assert [item for item in ledger.results() if isinstance(item.result, SupersededError)] == [first]

    third = accepted(ledger, "3", "wake me up", "u", 3)
    assert sent(ledger, link) == ["3"]
    ledger.ended(link, LOST, now=0.0)
    assert ledger.results() == [second]  # it would have to be sent again, and is not worth it
    assert isinstance(second.result, SupersededError)
    assert (third.result, other.result) == (None, None)


def test_an_answer_goes_to_the_item_that_the_link_has_under_this_id() -> None:
    ledger = ledger_of()
    link = opened(ledger)
    first = accepted(ledger, "same")
    assert sent(ledger, link) == ["same"]
    ledger.expire(first)
    assert [item.result for item in ledger.results()] == [first.result]
    assert isinstance(first.result, DeadlineExceededError)
    ledger.taken(first)

    second = accepted(ledger, "same")
    assert ledger.next_message(link, 0.0) == TakeBack("same")
    assert sent(ledger, link) == []  # the server still has the first under this id
    ledger.responded(link, "same", answer("first"))
    assert ledger.results() == []
    assert sent(ledger, link) == ["same"]
    ledger.responded(link, "same", answer("second"))
    assert ledger.results() == [second]


def test_the_next_link_is_opened_at_once_then_ever_later_up_to_a_second() -> None:
    ledger, now, pauses = ledger_of(), 0.0, []
    for _ in range(9):
        ledger.ended(ledger.open_link(), LOST, now)
        at = ledger.wants_link_at()
        assert at is not None
        pauses.append(round(at - now, 3))
        now = at
    assert pauses == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]

    link = opened(ledger, now)
    accepted(ledger, "a")
    sent(ledger, link)
    ledger.responded(link, "a", answer("a"))
    ledger.ended(link, LOST, now)
    assert ledger.wants_link_at() == now


def test_a_link_that_lasted_was_no_failure() -> None:
    ledger, now = ledger_of(), 0.0
    for _ in range(5):
        ledger.leave(opened(ledger, now), now + 100.0)
        now += 100.0
        assert ledger.wants_link_at() == now


def test_a_full_server_says_when_to_open_the_next_link() -> None:
    ledger = ledger_of()
    ledger.ended(ledger.open_link(), FULL, 5.0)
    assert ledger.wants_link_at() == 6.0


def test_what_refuses_every_stream_ends_it_for_all_items() -> None:
    ledger = ledger_of()
    link = opened(ledger)
    accepted(ledger, "a")
    accepted(ledger, "b")
    sent(ledger, link)
    fatal = ModelNotServedError(grpc.StatusCode.FAILED_PRECONDITION, "another one", "MODEL_NOT_SERVED")
    ledger.ended(link, LOST, 0.0)
    ledger.ended(ledger.open_link(), fatal, 0.0)

    assert ledger.failure is fatal
    assert [item.result for item in ledger.results()] == [fatal, fatal]
    assert ledger.wants_link_at() is None


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED]
)
def test_what_may_be_the_network_s_fault_does_not(code: grpc.StatusCode) -> None:
    ledger = ledger_of()
    ledger.ended(opened(ledger), IntentlyError(code, "who knows"), 0.0)
    assert ledger.failure is None
    assert ledger.wants_link_at() == 0.0


def test_a_context_that_is_too_long_for_the_next_server_is_replayed_in_part() -> None:
    ledger = ledger_of(accumulate=True)
    link = opened(ledger)
    for number in range(8):
        accepted(ledger, str(number), f"text {number}")
        sent(ledger, link)
        ledger.responded(link, str(number), answer(str(number)))
        ledger.taken(ledger.results()[0])
    violations = (FieldViolation("config.initial_context", "has 8 turns; the limit is 4"),)
    refusal = InvalidRequestError(grpc.StatusCode.INVALID_ARGUMENT, "too long", "INVALID_INPUT", violations)
    ledger.ended(link, LOST, 0.0)

    following = ledger.open_link()
    assert len(ledger.context_for(following, 256)) == 8
    ledger.ended(following, refusal, 0.0)

    assert ledger.failure is None
    assert ledger.context_for(ledger.open_link(), 256) == [Turn.of_user(f"text {number}") for number in range(4, 8)]


def test_a_context_that_the_caller_gave_and_no_server_takes_ends_the_stream() -> None:
    ledger = ledger_of(accumulate=True)
    violations = (FieldViolation("config.initial_context[0].text", "is empty"),)
    refusal = InvalidRequestError(grpc.StatusCode.INVALID_ARGUMENT, "empty", "INVALID_INPUT", violations)
    ledger.ended(ledger.open_link(), refusal, 0.0)
    assert ledger.failure is refusal


def test_when_all_is_answered_and_nothing_will_come_the_link_is_closed_once() -> None:
    ledger = ledger_of()
    link = opened(ledger)
    accepted(ledger, "a")
    ledger.finish()
    assert sent(ledger, link) == ["a"]
    ledger.responded(link, "a", answer("a"))

    assert ledger.next_message(link, 0.0) == Close()
    assert ledger.next_message(link, 0.0) is None
    assert ledger.finished


def test_an_answer_frees_its_place_whether_it_is_taken_or_not() -> None:
    ledger = ledger_of()
    link = opened(ledger, grant=1)
    for number in range(8):
        assert ledger.has_room
        assert not ledger.crowded
        last = accepted(ledger, str(number))
        assert not ledger.has_room
        sent(ledger, link)
        ledger.responded(link, str(number), answer(str(number)))
        assert len(ledger.results()) == 1
    assert ledger.has_room
    assert ledger.crowded  # as many as may wait to be taken

    ledger.taken(last)
    assert not ledger.crowded


def test_an_ordered_answer_frees_its_place_in_its_turn() -> None:
    ledger = ledger_of(ordered=True)
    link = opened(ledger, grant=2)
    accepted(ledger, "a")
    accepted(ledger, "b")
    assert sent(ledger, link) == ["a", "b"]

    ledger.responded(link, "b", answer("b"))
    assert ledger.results() == []
    assert not ledger.has_room

    ledger.responded(link, "a", answer("a"))
    assert [item.request_id for item in ledger.results()] == ["a", "b"]
    assert ledger.has_room


def test_what_was_in_flight_goes_before_what_waited() -> None:
    ledger = ledger_of()
    link = opened(ledger, grant=2)
    accepted(ledger, "a")
    accepted(ledger, "b")
    assert sent(ledger, link) == ["a", "b"]
    ledger.responded(link, "b", answer("b"))
    ledger.taken(ledger.results()[0])
    accepted(ledger, "c")

    ledger.ended(link, LOST, 0.0)

    assert sent(ledger, opened(ledger)) == ["a", "c"]


def test_nothing_is_sent_past_an_item_that_may_yet_become_a_turn() -> None:
    ledger = ledger_of(accumulate=True)
    link = opened(ledger)
    for request_id in "abc":
        accepted(ledger, request_id)
    assert sent(ledger, link) == ["a"]
    ledger.responded(link, "a", answer("a"))
    assert sent(ledger, link) == ["b"]

    ledger.refused(link, "b", FULL, now=0.0)
    assert sent(ledger, link, now=0.5) == []
    assert sent(ledger, link, now=50.0) == ["b"]
    ledger.responded(link, "b", answer("b"))

    assert sent(ledger, link, now=50.0) == ["c"]  # on the same link: nothing went wrong there


def test_revisions_follow_each_other_at_once_and_what_comes_after_the_final_one_waits() -> None:
    ledger = ledger_of(accumulate=True)
    link = opened(ledger)
    accepted(ledger, "1", "wake", "u", 1)
    assert sent(ledger, link) == ["1"]
    accepted(ledger, "2", "wake me", "u", 2)
    assert sent(ledger, link) == ["2"]
    accepted(ledger, "3", "wake me up", "u", 3, final=True)
    assert sent(ledger, link) == ["3"]
    accepted(ledger, "next")
    assert sent(ledger, link) == []

    for superseded in "12":
        ledger.refused(link, superseded, SupersededError(grpc.StatusCode.ABORTED, "", "SUPERSEDED"), now=0.0)
    ledger.responded(link, "3", answer("3"))
    assert sent(ledger, link) == ["next"]


def test_only_what_was_classified_is_replayed() -> None:
    ledger = ledger_of(accumulate=True)
    link = opened(ledger)
    items = {name: accepted(ledger, name, f"text, {name}") for name in ("good", "bad", "late", "lost")}
    assert sent(ledger, link) == ["good"]
    ledger.responded(link, "good", answer("good"))
    assert sent(ledger, link) == ["bad"]
    ledger.refused(link, "bad", InvalidRequestError(grpc.StatusCode.INVALID_ARGUMENT, "bad"), now=0.0)
    assert sent(ledger, link) == ["late"]
    ledger.expire(items["late"])
    assert ledger.next_message(link, 0.0) == TakeBack("late")
    assert sent(ledger, link) == []  # nobody knows yet whether it is a turn
    ledger.responded(link, "late", answer("late"))  # too late for its caller, and a turn all the same
    assert sent(ledger, link) == ["lost"]
    ledger.expire(items["lost"])
    ledger.ended(link, LOST, 0.0)

    replayed = ledger.context_for(ledger.open_link(), 16)

    assert replayed == [Turn.of_user("text, good"), Turn.of_user("text, late")]
