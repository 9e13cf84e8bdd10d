"""The fair queue: shares by weight, places kept, nothing lost, nothing kept of those who left."""

import weakref
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from intently_server.admission.fair_queue import FairQueue

if TYPE_CHECKING:
    from intently_server.admission.flow import Entry

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
        queue.push("greedy", "all", 1.0, 1.0, f"greedy {number}")
    queue.push("modest", "all", 1.0, 1.0, "modest")

    assert drained(queue).index("modest") <= 1


def test_shares_are_as_the_weights_by_cost() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(400):
        queue.push("heavy", "all", 4.0, 10.0, "heavy")
        queue.push("light", "all", 1.0, 5.0, "light")
    first = Counter(queue.pop() for _ in range(180))  # in a fair share, 80 heavy cost 800 and 40 light cost 200

    assert abs(first["heavy"] / first["light"] - 2.0) < 0.2


def test_who_gives_up_while_waiting_is_charged_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    patient, impatient = [], []
    for _ in range(300):
        impatient.append(queue.push("impatient", "all", 1.0, 1.0, "impatient"))
        patient.append(queue.push("patient", "all", 1.0, 1.0, "patient"))
    for entry in impatient[:250]:
        queue.withdraw(entry)

    first = Counter(queue.pop() for _ in range(60))

    assert abs(first["impatient"] - 30) <= 1


def test_a_flow_gains_nothing_by_having_many_classes() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(300):
        for name, weight in (("high", 4.0), ("normal", 2.0), ("low", 1.0)):
            queue.push("many", name, weight, 1.0, name)
        queue.push("one", "high", 4.0, 1.0, "one")
    first = Counter(queue.pop() for _ in range(280))

    assert abs(first["one"] - 140) <= 2
    assert [abs(first[name] - share) <= 2 for name, share in (("high", 80), ("normal", 40), ("low", 20))] == [True] * 3


def test_an_entry_can_take_the_place_of_one_that_was_withdrawn() -> None:
    queue: FairQueue[str] = FairQueue()
    entries = [queue.push("one", "all", 1.0, 1.0, str(number)) for number in range(5)]
    queue.withdraw(entries[1])
    queue.push("one", "all", 1.0, 1.0, "in its place", entries[1].order)

    assert drained(queue) == ["0", "in its place", "2", "3", "4"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([1.0, 2.0, 4.0]), costs, st.integers(0, 2))))
def test_the_heaviest_is_the_one_with_most_waiting_for_its_weight(steps: list[tuple[str, float, float, int]]) -> None:
    queue: FairQueue[str] = FairQueue()
    entries: list[Entry[str]] = []
    for number, (key, weight, cost, action) in enumerate(steps):
        entries.append(queue.push(key, weight, weight, cost, key))
        if action == 1:
            queue.pop()
        elif action == 2:
            queue.withdraw(entries[number // 2])
        loads = [entry.flow.load for entry in entries if entry.waiting]
        latest = queue.latest_of_heaviest()
        assert (latest is None) == (loads == [])
        assert latest is None or abs(latest.flow.load - max(loads)) < 1e-6


def test_a_flow_that_was_idle_has_saved_nothing_up() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(50):
        queue.push("busy", "all", 1.0, 1.0, "busy")
    for _ in range(40):
        queue.pop()
    for _ in range(10):
        queue.push("late", "all", 1.0, 1.0, "late")

    assert abs(drained(queue)[:10].count("late") - 5) <= 1


def test_what_replaces_a_flow_s_last_entry_gets_its_place() -> None:
    queue: FairQueue[str] = FairQueue()
    old = queue.push("typing", "all", 1.0, 1.0, "old")
    for _ in range(10):
        queue.push("other", "all", 1.0, 1.0, "other")
    queue.withdraw(old)
    queue.push("typing", "all", 1.0, 1.0, "new")

    assert drained(queue).index("new") <= 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([1.0, 2.0, 4.0]), costs, st.integers(0, 2))))
def test_each_entry_leaves_once_and_those_of_a_flow_in_their_order(steps: list[tuple[str, float, float, int]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    waiting: list[Entry[tuple[str, int]]] = []
    left: list[tuple[str, int]] = []
    pushed, withdrawn = 0, 0
    for number, (key, weight, cost, action) in enumerate(steps):
        waiting.append(queue.push(key, weight, weight, cost, (f"{key} {weight}", number)))
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
    for key in {name for name, _ in left}:
        numbers = [number for name, number in left if name == key]
        assert numbers == sorted(numbers)


@given(st.lists(st.tuples(st.sampled_from("abc"), costs), min_size=1), costs)
def test_no_more_is_served_before_an_entry_than_was_said(before: list[tuple[str, float]], cost: float) -> None:
    queue: FairQueue[tuple[str, float]] = FairQueue()
    for key, each in before:
        queue.push(key, "all", 1.0, each, (key, each))
    said = queue.ahead("newcomer", "all", 1.0, cost)
    queue.push("newcomer", "all", 1.0, cost, ("newcomer", cost))
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
        queue.withdraw(queue.push(f"caller {number}", "all", 1.0, 1.0, thing))
    del thing

    assert sum(reference() is not None for reference in seen) < 200
    assert queue.latest_of_heaviest() is None
    assert queue.pop() is None
