"""The fair queue: shares by weight, places kept, nothing lost, nothing kept of those who left."""

import weakref
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from intently_server.admission.fair_queue import Entry, FairQueue

costs = st.floats(1.0, 100.0)


def drained(queue: FairQueue[str]) -> list[str]:
    """All that waits, in the order in which it leaves."""
    left = []
    while (item := queue.pop()) is not None:
        left.append(item)
    return left


def test_a_flow_that_asks_for_much_waits_for_one_that_asks_for_little() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.push("greedy", 1.0, 1.0, f"greedy {number}")
    queue.push("modest", 1.0, 1.0, "modest")

    assert drained(queue).index("modest") <= 1


def test_shares_are_as_the_weights_by_cost() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(400):
        queue.push("heavy", 4.0, 10.0, "heavy")
        queue.push("light", 1.0, 5.0, "light")
    first = Counter(queue.pop() for _ in range(180))  # in a fair share, 80 heavy cost 800 and 40 light cost 200

    assert abs(first["heavy"] / first["light"] - 2.0) < 0.2


def test_a_flow_that_was_idle_has_saved_nothing_up() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(50):
        queue.push("busy", 1.0, 1.0, "busy")
    for _ in range(40):
        queue.pop()
    for _ in range(10):
        queue.push("late", 1.0, 1.0, "late")

    assert abs(drained(queue)[:10].count("late") - 5) <= 1


def test_what_replaces_a_flow_s_last_entry_gets_its_place() -> None:
    queue: FairQueue[str] = FairQueue()
    old = queue.push("typing", 1.0, 1.0, "old")
    for _ in range(10):
        queue.push("other", 1.0, 1.0, "other")
    queue.withdraw(old)
    queue.push("typing", 1.0, 1.0, "new")

    assert drained(queue).index("new") <= 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([1.0, 2.0, 4.0]), costs, st.integers(0, 2))))
def test_each_entry_leaves_once_and_those_of_a_flow_in_their_order(steps: list[tuple[str, float, float, int]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    waiting: list[Entry[tuple[str, int]]] = []
    left: list[tuple[str, int]] = []
    pushed, withdrawn = 0, 0
    for number, (key, weight, cost, action) in enumerate(steps):
        waiting.append(queue.push(key, weight, cost, (key, number)))
        pushed += 1
        if action == 1 and (item := queue.pop()) is not None:
            left.append(item)
        elif action == 2 and (here := [entry for entry in waiting if entry.waiting]):
            queue.withdraw(here[number % len(here)])
            queue.withdraw(here[number % len(here)])  # once is enough
            withdrawn += 1
        assert len(queue) == pushed - len(left) - withdrawn
        assert abs(queue.cost - sum(entry.cost for entry in waiting if entry.waiting)) < 1e-6
    while (item := queue.pop()) is not None:
        left.append(item)

    assert len(left) == len(set(left)) == pushed - withdrawn
    assert (len(queue), queue.cost) == (0, 0.0)
    for key in "abcd":
        numbers = [number for name, number in left if name == key]
        assert numbers == sorted(numbers)


@given(st.lists(st.tuples(st.sampled_from("abc"), costs), min_size=1), costs)
def test_no_more_is_served_before_an_entry_than_was_said(before: list[tuple[str, float]], cost: float) -> None:
    queue: FairQueue[tuple[str, float]] = FairQueue()
    for key, each in before:
        queue.push(key, 1.0, each, (key, each))
    said = queue.ahead("newcomer", 1.0, cost)
    queue.push("newcomer", 1.0, cost, ("newcomer", cost))
    served = 0.0
    while (item := queue.pop()) is not None and item[0] != "newcomer":
        served += item[1]

    # Served in whole entries: of each flow one more may come than its exact share.
    assert served + cost <= said + 3 * 100.0


class Thing:
    """Something whose end can be seen."""


def test_entries_that_are_taken_back_leave_nothing_behind() -> None:
    queue: FairQueue[Thing] = FairQueue()
    seen = []
    for number in range(10_000):
        thing = Thing()
        seen.append(weakref.ref(thing))
        queue.withdraw(queue.push(f"caller {number}", 1.0, 1.0, thing))
    del thing

    assert sum(reference() is not None for reference in seen) < 200
    assert queue.heaviest() is None
    assert queue.pop() is None
