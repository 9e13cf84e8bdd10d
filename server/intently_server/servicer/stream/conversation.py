"""The context that a stream accumulates: what the user said, as long as it was answered."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from intently.v1 import intent_service_pb2 as pb

if TYPE_CHECKING:
    from intently_server.servicer.stream.item import Answer


class Conversation:
    """The latest turns, oldest first.

    Args:
        max_turns: The oldest are dropped beyond so many.
        turns: To begin with.
    """

    def __init__(self, max_turns: int, turns: Iterable[pb.Turn] = ()) -> None:
        self._turns = deque(turns, maxlen=max_turns)

    def turns(self) -> list[pb.Turn]:
        """What the next item comes after."""
        return list(self._turns)

    def forget(self) -> None:
        """Starts from none."""
        self._turns.clear()

    def add(self, text: str, answer: "asyncio.Future[Answer]") -> None:
        """Makes the text a turn, for as long as it may still be answered and if it is.

        What is refused, superseded or taken back is no turn: sent again, it would stand there twice, and a text that
        fits in no prompt would be refused with every later item.
        """
        turn = pb.Turn(role=pb.ROLE_USER, text=text)
        self._turns.append(turn)

        def drop_if_not_answered(done: "asyncio.Future[Answer]") -> None:
            if done.cancelled() or not isinstance(done.result(), pb.ClassifyResponse):
                self._turns = deque((each for each in self._turns if each is not turn), self._turns.maxlen)

        answer.add_done_callback(drop_if_not_answered)
