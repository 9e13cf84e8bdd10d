"""Finishes what a command has begun that was killed, or that Envoy did not follow: before another one changes anything.

A state is written before the routes. While Envoy does not route by it, or the history does not tell of it, the command
that wrote it is unfinished; to finish it means to apply what is written down, and never to go further or back.
"""

from intently_release.release.book import Book
from intently_release.release.traffic import Traffic
from intently_release.state.history import Event


class Unfinished:
    """Finds it and finishes it. The caller holds the store's lock, and no release is under way.

    Args:
        book: Where what is wanted and what was done stand.
        traffic: Moves it.
    """

    def __init__(self, book: Book, traffic: Traffic) -> None:
        self._book = book
        self._traffic = traffic

    def event(self) -> Event | None:
        """What was begun and is not known to have been finished; None if nothing."""
        pending = self._book.state().pending
        return None if pending is None else pending.event

    async def finish(self) -> str:
        """Applies the state that is written down; returns what that was, as a sentence; "" if nothing was missing.

        Raises:
            ReleaseError: as of `Traffic.to`, and if Envoy cannot be asked.
        """
        state = self._book.state()
        if state.pending is None and await self._traffic.follows(state):
            return ""
        await self._traffic.to(state)
        self._book.write(self._book.told(state).with_streams_moved())
        shares = ", ".join(f"{color} {weight} %" for color, weight in state.weights.items())
        begun = f"{state.pending.color} {state.pending.event}" if state.pending else "what is written down"
        return f"finished what was interrupted: {begun}; new calls: {shares}"
