"""The context that a stream accumulates: what the user said, as long as it was answered."""

from collections import deque
from collections.abc import Iterable

from intently.v1 import intent_service_pb2 as pb
from intently_server.servicer.stream.item import Item


class Conversation:
    """The latest turns, oldest first.

    What is refused, superseded or taken back is no turn: sent again, it would stand there twice, and a text that fits
    in no prompt would be refused with every later item. What is in flight is one until that shows.

    Args:
        max_turns: The oldest are dropped beyond so many.
        turns: To begin with.
    """

    def __init__(self, max_turns: int, turns: Iterable[pb.Turn] = ()) -> None:
        self._turns: deque[tuple[pb.Turn, Item | None]] = deque(((turn, None) for turn in turns), maxlen=max_turns)

    def turns(self) -> list[pb.Turn]:
        """What the next item comes after."""
        kept = [(turn, item) for turn, item in self._turns if item is None or not item.failed]
        self._turns = deque(kept, self._turns.maxlen)
        return [turn for turn, _ in kept]

    def forget(self) -> None:
        """Starts from none."""
        self._turns.clear()

    def add(self, text: str, item: Item) -> None:
        """Makes an item's text a turn."""
        self._turns.append((pb.Turn(role=pb.ROLE_USER, text=text), item))
