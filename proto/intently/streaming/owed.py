"""What the caller is owed: every item accepted gets one result, which holds its place until it is taken."""

from collections import deque
from collections.abc import Callable

from intently.errors import IntentlyError
from intently.streaming.item import Item, Result


class Owed:
    """Keeps items from their acceptance until their results are taken.

    Args:
        in_order: Whether results are handed out in the order of the items.
    """

    def __init__(self, *, in_order: bool) -> None:
        self._in_order = in_order
        self._places: dict[str, Item] = {}  # by request id, in order
        self._queue: deque[Item] = deque()  # what was not handed out: all of it if order matters, else the settled
        self._unsettled = 0
        self._untaken = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def under_way(self) -> int:
        """Items whose results were not handed out yet."""
        return len(self._places) - self._untaken

    @property
    def untaken(self) -> int:
        """Items whose results were handed out, and not taken."""
        return self._untaken

    @property
    def unsettled(self) -> int:
        """Items without a result."""
        return self._unsettled

    def find(self, request_id: str) -> Item | None:
        """The item that holds a place under this id."""
        return self._places.get(request_id)

    def any(self, condition: Callable[[Item], bool]) -> bool:
        """Whether an item that holds a place meets the condition."""
        return any(condition(item) for item in self._places.values())

    def add(self, item: Item) -> None:
        """Takes an item, whose id is that of no other."""
        self._places[item.request_id] = item
        self._unsettled += 1
        if self._in_order:
            self._queue.append(item)

    def settle(self, item: Item, result: Result) -> None:
        """Gives an item its result. The first one counts."""
        item.link = None
        if item.result is not None:
            return
        item.result = result
        self._unsettled -= 1
        if not self._in_order:
            self._queue.append(item)

    def settle_all(self, error: IntentlyError) -> None:
        """Gives all that have no result this error."""
        for item in self._places.values():
            self.settle(item, error)

    def results(self) -> list[Item]:
        """Items whose results are to be handed out now, each once."""
        ready = []
        while self._queue and self._queue[0].result is not None:
            ready.append(self._queue.popleft())
        self._untaken += len(ready)
        return ready

    def take(self, item: Item) -> None:
        """The caller has the result, which was handed out: the place is free."""
        del self._places[item.request_id]
        self._untaken -= 1

    def oldest(self, after: int) -> int:
        """The number of the oldest item that holds a place; `after` if there is none."""
        return next((item.number for item in self._places.values()), after)
