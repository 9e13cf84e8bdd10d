"""A queue in which flows get shares by weight, whatever they ask for: start-time fair queueing.

Every entry has a start tag: the virtual time at which its flow would begin with it if all flows were served at once,
each by its weight. Entries leave in the order of their tags. A flow that was idle starts at the present virtual time:
it neither saved up service nor owes any.

Source: Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996.
"""

import heapq
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_COMPACT_AT = 64  # entries withdrawn, beyond as many as wait, before the heap is rebuilt without them
_FLOWS_KEPT = 64  # idle flows whose tags are remembered, beyond as many as wait


@dataclass(slots=True)
class Flow(Generic[T]):
    """Entries that share one share.

    Attributes:
        weight: Of its share, over 0.
        finish: Virtual time at which its last entry will have been served.
        cost: Of its entries that wait.
        entries: Those that wait, oldest first.
    """

    weight: float
    finish: float = 0.0
    cost: float = 0.0
    entries: "deque[Entry[T]]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One entry that waits, or did."""

    flow: Flow[T]
    start: float
    number: int
    cost: float
    item: T
    waiting: bool = True

    def __lt__(self, other: "Entry[T]") -> bool:
        return (self.start, self.number) < (other.start, other.number)


class FairQueue(Generic[T]):
    """Entries of several flows, in the order in which fair shares would serve them."""

    def __init__(self) -> None:
        self._flows: dict[Hashable, Flow[T]] = {}
        self._heap: list[Entry[T]] = []
        self._virtual_time = 0.0
        self._pushed = 0
        self._length = 0
        self._active_weight = 0.0
        self.cost = 0.0

    def __len__(self) -> int:
        return self._length

    def push(self, key: Hashable, weight: float, cost: float, item: T) -> Entry[T]:
        """Adds an entry to the flow named `key`, which has this weight from now on."""
        flow = self._flows.get(key)
        if flow is None:
            self._forget_idle_flows()
            flow = self._flows[key] = Flow(weight)
        if not flow.entries:
            flow.weight = weight
            self._active_weight += weight
        start = max(self._virtual_time, flow.finish)
        entry = Entry(flow, start, self._pushed, cost, item)
        self._pushed += 1
        flow.finish = start + cost / flow.weight
        flow.entries.append(entry)
        self._count(entry, 1)
        heapq.heappush(self._heap, entry)
        return entry

    def pop(self) -> T | None:
        """Takes the entry whose turn it is; None if nothing waits."""
        while self._heap:
            entry = heapq.heappop(self._heap)
            if entry.waiting:
                self._virtual_time = entry.start
                entry.flow.entries.popleft()  # the tags of a flow grow: the oldest of those that wait comes first
                self._leave(entry)
                return entry.item
        return None

    def withdraw(self, entry: Entry[T]) -> None:
        """Takes an entry out before its turn. If it was its flow's last, the next one gets its place."""
        if not entry.waiting:
            return
        flow = entry.flow
        if flow.entries[-1] is entry:
            flow.finish = entry.start
        flow.entries.remove(entry)
        self._leave(entry)
        if len(self._heap) > 2 * self._length + _COMPACT_AT:
            self._heap = [each for each in self._heap if each.waiting]
            heapq.heapify(self._heap)

    def heaviest(self) -> Flow[T] | None:
        """The flow with the most waiting for its weight; None if nothing waits."""
        waiting = (flow for flow in self._flows.values() if flow.entries)
        return max(waiting, key=lambda flow: flow.cost / flow.weight, default=None)

    def flow(self, key: Hashable) -> Flow[T] | None:
        """The flow of this name, if it is known."""
        return self._flows.get(key)

    def ahead(self, key: Hashable, weight: float, cost: float) -> float:
        """What is served, at most, until an entry of that cost, pushed now, has been: its own cost included.

        While its flow is served what it has waiting, each other flow is served as much for its weight, and no flow more
        than all has waiting.
        """
        flow = self._flows.get(key)
        own, active = cost, self._active_weight
        if flow is None or not flow.entries:
            active += weight
        else:
            own += flow.cost
        return min(self.cost + cost, own * active / weight)

    def _count(self, entry: Entry[T], sign: int) -> None:
        self._length += sign
        self.cost += sign * entry.cost
        entry.flow.cost += sign * entry.cost

    def _leave(self, entry: Entry[T]) -> None:
        entry.waiting = False
        self._count(entry, -1)
        if not entry.flow.entries:
            self._active_weight -= entry.flow.weight
        if self._length == 0:  # sums start afresh, without what rounding left in them
            self.cost = self._active_weight = 0.0

    def _forget_idle_flows(self) -> None:
        """Keeps callers who come and go from filling the memory: an idle flow's tag matters only until its time."""
        if len(self._flows) <= 2 * self._length + _FLOWS_KEPT:
            return
        self._flows = {
            key: flow for key, flow in self._flows.items() if flow.entries or flow.finish > self._virtual_time
        }
        if len(self._flows) > 2 * self._length + _FLOWS_KEPT and self._length == 0:
            self._flows.clear()
            self._virtual_time = 0.0
