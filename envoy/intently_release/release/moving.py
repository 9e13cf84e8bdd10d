"""Waits until the streams of a color that is kept have moved to the one that has the traffic.

It changes nothing, and holds no lock: who wants the color back meanwhile need not wait. What moves the streams is the
supervisor, by what is written down; they move whether or not anybody waits.
"""

import asyncio
import contextlib
import time

from intently_release.colors import Color
from intently_release.errors import ProxyProblem
from intently_release.release.book import Book
from intently_release.release.reporting import Event, Reporter
from intently_release.release.traffic import Counting
from intently_release.state.state import State

_POLL_S = 0.1
_TELL_EVERY_S = 2.0


class Moving:
    """Waits for streams, and shows how they go.

    Args:
        book: Where it stands that they are to go.
        counting: Says how many are open.
        reporter: Shows it.
        patience_s: How long they may take. Some may never go: pinned ones come back, and who takes no notice stays.
    """

    def __init__(self, book: Book, counting: Counting, reporter: Reporter, patience_s: float) -> None:
        self._book = book
        self._counting = counting
        self._reporter = reporter
        self._patience_s = patience_s

    async def wait(self, color: Color, streams: int) -> tuple[str, ...]:
        """Returns once they are gone, or patience is over, or somebody wants something else of this color.

        Returns what came of it as a sentence for the history; nothing in the last case.

        Args:
            color: It is kept.
            streams: How many were open to it when they were told.
        """
        began = time.monotonic()
        self._say("moving", f"{_number(streams)} told to move from {color} to {color.other}", began, color, streams)
        told_at, left = began, streams
        while left and time.monotonic() - began < self._patience_s:
            await asyncio.sleep(_POLL_S)
            if not _is_left(self._book.state(), color):
                return ()
            left = await self._open(color, left)
            if left and time.monotonic() - told_at >= _TELL_EVERY_S:
                told_at = time.monotonic()
                self._say("moving", f"{_number(left)} still open to {color}", began, color, left)
        text = _outcome(color, left, time.monotonic() - began)
        self._say("moved", text, began, color, left)
        return (text,)

    async def _open(self, color: Color, before: int) -> int:
        """How many are open; as many as before where Envoy does not tell."""
        with contextlib.suppress(ProxyProblem):
            return (await self._counting.streams_open()).get(color, before)
        return before

    def _say(self, kind: str, text: str, began: float, color: Color, streams: int) -> None:
        seconds = round(time.monotonic() - began, 3)
        self._reporter.event(Event(kind, text, {"color": color, "open": streams, "seconds": seconds}))


def _is_left(state: State, color: Color) -> bool:
    """Whether this color is kept, and nothing more: it may have been rolled back to, stopped, or released to."""
    left = state.stable is not color and state.weights[color] == 0 and state.release is None
    return left and state.slots[color].wanted == "running"


def _outcome(color: Color, left: int, seconds: float) -> str:
    if not left:
        return f"No stream is open to {color} any more, after {seconds:.1f} s."
    return (
        f"{_number(left)} still open to {color} after {seconds:.1f} s: pinned to it, or taking no notice. Its servers "
        "end each at --stream-max-age; `intently-release drain` ends all."
    )


def _number(streams: int) -> str:
    return "1 stream is" if streams == 1 else f"{streams} streams are"
