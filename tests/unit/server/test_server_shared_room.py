"""Room that all callers share: however many take all they can, one more finds some."""

import pytest

from intently_server.servicer.shared_room import SharedRoom


def fill(room: SharedRoom, caller: str) -> int:
    """Takes all that the caller may, one by one; returns how much that was."""
    taken = 0
    while room.left(caller) > 0:
        room.take(caller, 1)
        taken += 1
    return taken


def test_one_caller_may_hold_as_much_as_it_leaves_free() -> None:
    room = SharedRoom(in_all=100, per_caller=100, assured=1)

    assert fill(room, "a") == 50
    assert room.left("b") == 50


def test_one_caller_holds_no_more_than_its_own_bound() -> None:
    assert fill(SharedRoom(in_all=100, per_caller=10, assured=1), "a") == 10


@pytest.mark.parametrize("callers", [1, 10, 99])
def test_there_is_room_for_one_more(callers: int) -> None:
    room = SharedRoom(in_all=1000, per_caller=1000, assured=3)
    for caller in range(callers):
        fill(room, str(caller))

    assert room.taken <= 1000 + 3 * callers
    assert fill(room, "late") >= 3


def test_what_is_given_back_is_free() -> None:
    room = SharedRoom(in_all=10, per_caller=10, assured=1)
    fill(room, "a")
    room.give_back("a", 5)

    assert room.taken == 0
    assert fill(room, "b") == 5
