"""Waits until the streams of a color that is kept have moved to the one that has the traffic.

It changes nothing, and holds no lock: who wants the color back meanwhile need not wait. What moves the streams is the
supervisor, by what is written down; they move whether or not anybody waits.
"""

import asyncio
import contextlib
import enum
import time
from dataclasses import dataclass

from intently_release.colors import Color
from intently_release.errors import ProxyProblem, ReleaseError
from intently_release.release.book import Book
from intently_release.release.reporting import Event, Reporter
from intently_release.release.told import Telling, Told
from intently_release.release.traffic import Counting
from intently_release.state.state import State

_POLL_S = 0.1
_TELL_EVERY_S = 2.0


class Ended(enum.StrEnum):
    """How the waiting ended, for machines: what `moved` says beside how many streams are open."""

    GONE = "gone"
    LEFT = "left"
    UNTOLD = "untold"
    """None of the servers was told, or will be for now."""
    GIVEN_UP = "given up"
    """Somebody wants something else of the color, or whoever waited was told to stop, or could not look."""


class Moving:
    """Waits for streams, and shows how they go.

    Args:
        book: Where it stands that they are to go.
        counting: Says how many are open.
        telling: Says whether their servers were told.
        reporter: Shows it.
        patience_s: How long they may take. Some may never go: pinned ones come back, and who takes no notice stays.
    """

    def __init__(self, book: Book, counting: Counting, telling: Telling, reporter: Reporter, patience_s: float) -> None:
        self._book = book
        self._counting = counting
        self._telling = telling
        self._reporter = reporter
        self._patience_s = patience_s

    async def wait(self, color: Color, streams: int) -> tuple[str, ...]:
        """Returns once they are gone, or patience is over, or somebody wants something else of this color.

        Nor is waited for servers that nobody tells. Returns what came of it as a sentence for the history; nothing if
        it was given up.

        Args:
            color: It is kept.
            streams: How many were open to it when they were to move.

        Raises:
            StateProblem: if it cannot be read what is wanted, or what runs.
        """
        watch = _Watch(color, streams, time.monotonic())
        self._say("moving", f"{_number(streams)} to move from {color} to {color.other}", watch)
        try:
            is_left = await self._watch(watch)
            told = self._telling.of(color, self._book.state().slots[color])
        except (asyncio.CancelledError, ReleaseError):
            self._give_up(watch)
            raise
        if not is_left:
            self._give_up(watch)
            return ()
        text, ended = _outcome(watch, told)
        self._say("moved", text, watch, ended=ended)
        return (text,)

    async def _watch(self, watch: "_Watch") -> bool:
        """Returns once there is nothing to wait for; whether the color is kept still, and nothing more."""
        told_at = watch.began
        while watch.open and watch.seconds < self._patience_s:
            await asyncio.sleep(_POLL_S)
            state = self._book.state()
            if not _is_left(state, watch.color):
                return False
            watch.open = await self._open(watch)
            told = self._telling.of(watch.color, state.slots[watch.color])
            if not told.some and not told.awaited:
                break
            if watch.open and time.monotonic() - told_at >= _TELL_EVERY_S:
                told_at = time.monotonic()
                self._say("moving", f"{_number(watch.open)} still open to {watch.color}", watch)
        return True

    async def _open(self, watch: "_Watch") -> int:
        """How many are open; as many as before where Envoy does not tell."""
        with contextlib.suppress(ProxyProblem):
            return (await self._counting.streams_open()).get(watch.color, watch.open)
        return watch.open

    def _give_up(self, watch: "_Watch") -> None:
        self._say("moved", f"Nobody waits for the streams of {watch.color} any more.", watch, ended=Ended.GIVEN_UP)

    def _say(self, kind: str, text: str, watch: "_Watch", **more: str) -> None:
        figures = {"color": watch.color, "open": watch.open, "seconds": round(watch.seconds, 3)}
        self._reporter.event(Event(kind, text, {**figures, **more}))


@dataclass(slots=True)
class _Watch:
    """What is waited for.

    Attributes:
        color: It is kept.
        open: Streams, at the last look.
        began: On the monotonic clock.
    """

    color: Color
    open: int
    began: float

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began


def _is_left(state: State, color: Color) -> bool:
    """Whether this color is kept, and nothing more: it may have been rolled back to, stopped, or released to."""
    left = state.stable is not color and state.weights[color] == 0 and state.release is None
    return left and state.slots[color].wanted == "running"


def _outcome(watch: _Watch, told: Told) -> tuple[str, Ended]:
    color, after = watch.color, f"after {watch.seconds:.1f} s"
    if not watch.open:
        return f"No stream is open to {color} any more, {after}.", Ended.GONE
    why = ["pinned to it, taking no notice, or not gone yet"] if told.some else []
    why += [f"{name} was not told yet" for name in told.awaited]
    return (
        f"{_number(watch.open)} still open to {color} {after}: {'; '.join((*why, *told.never))}. Its servers "
        "end each at --stream-max-age; `intently-release drain` ends all."
    ), Ended.LEFT if told.some else Ended.UNTOLD


def _number(streams: int) -> str:
    return "1 stream is" if streams == 1 else f"{streams} streams are"
