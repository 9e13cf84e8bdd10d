"""What an operator does without a judgement: shift, promote, abort, roll back, drain.

What a command has begun and not finished is never gone on from in silence: the same command, run again, finishes it and
ends there; another one replaces it, or finishes it first.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from intently_release.colors import Color, all_to, split
from intently_release.errors import Refused, ReleaseError
from intently_release.release.aborting import Aborting
from intently_release.release.book import Book
from intently_release.release.traffic import Counting, Traffic
from intently_release.release.unfinished import Unfinished
from intently_release.state.history import Entry, Event
from intently_release.state.state import Phase, ReleaseState, State


@dataclass(frozen=True, slots=True)
class Moved:
    """What a command has done.

    Attributes:
        state: What is wanted now.
        seconds: After which Envoy routed by it.
        finished: What was left by a command before it and was finished, as a sentence; "" if nothing was.
    """

    state: State
    seconds: float = 0.0
    finished: str = ""


class ByHand:
    """Each method is one command. The caller holds the store's lock.

    Args:
        book: Where what is wanted and what was done stand.
        traffic: Moves it.
        counting: Says what is under way.
    """

    def __init__(self, book: Book, traffic: Traffic, counting: Counting) -> None:
        self._book = book
        self._traffic = traffic
        self._counting = counting
        self._aborting = Aborting(book, traffic)
        self._unfinished = Unfinished(book, traffic)

    async def shift(self, percent: int) -> Moved:
        """Gives the color that is not stable this share of the new calls.

        Raises:
            Refused: if that color runs nothing, or is not healthy, or a release is under way.
        """
        state = self._book.state()
        weights = split(state.stable.other, percent)
        if self._unfinished.event() is Event.SHIFTED and state.weights == weights:
            return await self._finish()

        async def shifted(state: State) -> State:
            _no_release(state)
            if percent > 0:
                await self._must_serve(state, state.stable.other)
            return state.with_weights(weights)

        return await self._carry_out(Event.SHIFTED, state.stable.other, shifted)

    async def promote(self) -> Moved:
        """Gives everything to the color that is not stable, which becomes stable.

        Raises:
            Refused: if that color runs nothing, or is not healthy, or was found bad, or is what was stable before.
        """
        if self._unfinished.event() is Event.PROMOTED:
            return await self._finish()

        async def promoted(state: State) -> State:
            other = state.stable.other
            if state.release is not None and state.release.phase is Phase.ABORTING:
                raise Refused(
                    f"{state.release.canary} was found bad: `intently-release abort` takes it back to the end"
                )
            if state.previous is other:
                raise Refused(
                    f"{state.stable} was promoted, and {other} is what was stable before: `intently-release rollback` "
                    "gives it everything back"
                )
            return await self._taken_over(state, previous=state.stable)

        return await self._carry_out(Event.PROMOTED, self._book.state().stable.other, promoted)

    async def rollback(self) -> Moved:
        """Gives everything back to the color that was stable before; the present one is kept as it is.

        Raises:
            Refused: if no color was stable before and is kept, if it is not healthy, or if a release is under way.
        """
        if self._unfinished.event() is Event.ROLLED_BACK:
            return await self._finish()

        async def rolled_back(state: State) -> State:
            _no_release(state)
            if state.previous is None:
                raise Refused(
                    f"there is nothing to go back to: {state.stable.other} was not stable before {state.stable}, or "
                    "was not kept; `intently-release promote` gives it everything all the same, if it runs"
                )
            return await self._taken_over(state, previous=None)

        return await self._carry_out(Event.ROLLED_BACK, self._book.state().stable.other, rolled_back)

    async def abort(self) -> Moved:
        """Gives everything to the stable color, and ends the release that was under way.

        Raises:
            Refused: if there is nothing to take back.
        """
        state = self._book.state()
        if state.release is None and state.weights == all_to(state.stable):
            return await self._abort_what_is_over(state)
        state = self._book.told(state)
        if state.release is None:  # a share that was given by hand
            state = state.changed(release=ReleaseState(id="", canary=state.stable.other))
        found = state.release.reasons if state.release else ()
        aborting, seconds = await self._aborting.begin(state, found or ("An operator took it back.",))
        await self._aborting.finish(aborting)
        return Moved(self._book.state(), seconds)

    async def drain(self) -> Moved:
        """Stops the color that is not stable: its servers finish what they have, tell streams to move on, and end.

        Raises:
            Refused: if it gets new calls, or has calls under way, or a release is under way.
        """
        ends = self._unfinished.event() is Event.DRAINED
        _no_release(self._book.state())
        finished = await self._unfinished.finish()  # no color is stopped that Envoy gives calls to still
        if ends:
            return Moved(self._book.state(), finished=finished)

        async def drained(state: State) -> State:
            color = state.stable.other
            if state.weights[color] > 0:
                raise Refused(f"{color} gets {state.weights[color]} % of new calls: `intently-release shift 0` first")
            if state.slots[color].wanted != "running":
                raise Refused(f"{color} does not run" + (f" ({finished})" if finished else ""))
            if (busy := await self._calls_under_way(color)) > 0:
                raise Refused(f"{color} has {busy} calls under way; they take seconds, so try again")
            slot = state.slots[color].model_copy(update={"wanted": "stopped"})
            return state.with_slot(color, slot).changed(previous=None)

        moved = await self._carry_out(Event.DRAINED, self._book.state().stable.other, drained)
        return replace(moved, finished=finished)

    async def _abort_what_is_over(self, state: State) -> Moved:
        """The end of an abort, or of a release, that was cut off; a promotion is not what an abort shall finish."""
        if self._unfinished.event() is Event.PROMOTED:
            raise Refused(
                f"nothing to abort: {state.stable} was being promoted; `intently-release promote` finishes that, "
                "`intently-release rollback` goes back"
            )
        if finished := await self._unfinished.finish():
            return Moved(self._book.state(), finished=finished)
        raise Refused(f"nothing to abort: {state.stable} has all new traffic, and no release is under way")

    async def _calls_under_way(self, color: Color) -> int:
        """Single calls and batches, pinned ones too; streams are moved on by the drain itself."""
        calls = await self._counting.calls_under_way()
        if color not in calls:
            raise Refused(f"Envoy does not tell how many calls {color} has under way: see `intently-release status`")
        return calls[color]

    async def _taken_over(self, state: State, previous: Color | None) -> State:
        other = state.stable.other
        await self._must_serve(state, other)
        return state.changed(stable=other, release=None, previous=previous, weights=all_to(other))

    async def _carry_out(self, event: Event, color: Color, change: Callable[[State], Awaitable[State]]) -> Moved:
        """Makes what a change comes to the wanted state. If it is refused, what was begun before is finished."""
        state = self._book.state()
        try:
            changed = await change(state)
        except Refused as refused:
            if state.release is None and (finished := await self._finished_if_it_can_be()):
                raise Refused(f"{refused} ({finished})") from None
            raise
        changed = changed.changed(pending=_entry(event, color, state, changed))
        self._book.told(state)
        seconds = await self._traffic.to(changed)
        self._book.write(self._book.told(changed).with_streams_moved())
        return Moved(self._book.state(), seconds)

    async def _finish(self) -> Moved:
        return Moved(self._book.state(), finished=await self._unfinished.finish())

    async def _finished_if_it_can_be(self) -> str:
        with contextlib.suppress(ReleaseError):  # the refusal is what was asked for
            return await self._unfinished.finish()
        return ""

    async def _must_serve(self, state: State, color: Color) -> None:
        slot = state.slots[color]
        if slot.wanted != "running":
            what = f"its last bundle was {slot.bundle}" if slot.bundle else "it never ran a bundle"
            raise Refused(f"{color} does not run ({what}): intently-release deploy BUNDLE starts it")
        if not await self._traffic.serves(color):
            raise Refused(f"Envoy holds no server of {color} for healthy: see `intently-release status`")


def _entry(event: Event, color: Color, before: State, after: State) -> Entry:
    """What the history shall be told of a change, once Envoy routes by it."""
    slot = after.slots[color]
    return Entry(
        event=event,
        release=before.release.id if before.release else "",
        color=color,
        bundle=slot.bundle,
        revision=slot.revision,
        weights=after.weights,
    )


def _no_release(state: State) -> None:
    if (release := state.release) is not None:
        raise Refused(
            f"release {release.id} to {release.canary} is under way, or was interrupted: `intently-release abort` ends "
            "it, `intently-release promote` takes it live"
        )
