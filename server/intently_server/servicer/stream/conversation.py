"""The context that a stream accumulates: what the user said, as long as it was answered."""

from collections.abc import Callable, Iterable, Sequence

from intently.v1 import intent_service_pb2 as pb
from intently_server.servicer.stream.item import Item


class Conversation:
    """The latest turns, oldest first.

    What is refused, superseded or taken back is no turn: sent again, it would stand there twice, and a text that fits
    in no prompt would be refused with every later item. What is in flight is one until that shows; it costs older turns
    their place only once it is answered. What no prompt can hold any more is not kept.

    Args:
        max_turns: The oldest are dropped beyond so many.
        latest_possible: How many of the latest of these texts one prompt can hold; the others are dropped too.
        turns: To begin with.
    """

    def __init__(
        self, max_turns: int, latest_possible: Callable[[Sequence[str]], int], turns: Iterable[pb.Turn] = ()
    ) -> None:
        self._max_turns = max_turns
        self._latest_possible = latest_possible
        self._settled = self._latest(list(turns))
        self._open: list[tuple[pb.Turn, Item]] = []  # no more than are in flight

    def turns(self) -> list[pb.Turn]:
        """What the next item comes after."""
        self._settle()
        return self._latest([*self._settled, *(turn for turn, _ in self._open)])

    def forget(self) -> None:
        """Starts from none."""
        self._settled, self._open = [], []

    def add(self, text: str, item: Item) -> None:
        """Makes an item's text a turn."""
        self._open.append((pb.Turn(role=pb.ROLE_USER, text=text), item))
        item.answer.add_done_callback(lambda _: self._settle())  # not with the next item: a stream may fall silent

    def _settle(self) -> None:
        """Moves on past those that were answered, as far as all before them are decided."""
        self._open = [(turn, item) for turn, item in self._open if not item.failed]
        while self._open and self._open[0][1].answer.done():
            self._settled.append(self._open.pop(0)[0])
        self._settled = self._latest(self._settled)

    def _latest(self, turns: list[pb.Turn]) -> list[pb.Turn]:
        turns = turns[max(0, len(turns) - self._max_turns) :]
        return turns[len(turns) - self._latest_possible([turn.text for turn in turns]) :]
