"""What a loop drives: the one interface of all targets."""

from typing import Protocol

from intently.bench.tally import OK, Answer
from intently.errors import IntentlyError

LOOK_INTO_EVERY = 16  # of the answers to single calls: the others are not decoded
ONE_OK = Answer(ok=True, items=(((OK, ""), 1),))


class Traffic(Protocol):
    """Something to send to."""

    async def open(self) -> None:
        """Connects.

        Raises:
            TimeoutError: if no server answers.
            IntentlyError: if one refuses.
        """
        ...

    async def call(self, number: int) -> Answer:
        """Sends once, by the connection or stream of that number, and returns how it ended. Raises nothing."""
        ...

    def settle(self) -> tuple[int, int]:
        """Ends the account of what was sent since it was asked last.

        Returns:
            Items of streams that got no answer, and answers to items that had one already or were never sent.
        """
        ...

    async def close(self) -> None:
        """Ends streams in order and closes connections."""
        ...


def failure(error: IntentlyError, utterances: int = 1) -> Answer:
    """How a send ended that failed as a whole."""
    return failed(error.code.name, error.reason, utterances)


def failed(status: str, reason: str = "", utterances: int = 1) -> Answer:
    """How a send ended that failed as a whole, by its status and reason."""
    return Answer(ok=False, items=(((status, reason), utterances),))
