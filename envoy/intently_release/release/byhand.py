"""What an operator does without a judgement: shift, promote, abort, roll back, drain."""

from intently_release.colors import Color, Weights, all_to, split
from intently_release.errors import Refused
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.aborting import Aborting
from intently_release.release.book import Book
from intently_release.release.traffic import Traffic
from intently_release.state.history import Entry, Event
from intently_release.state.state import Phase, ReleaseState, State


class ByHand:
    """Each method is one command. The caller holds the store's lock.

    Args:
        book: Where what is wanted and what was done stand.
        traffic: Moves it.
        admin: Says what is under way.
    """

    def __init__(self, book: Book, traffic: Traffic, admin: EnvoyAdmin) -> None:
        self._book = book
        self._traffic = traffic
        self._admin = admin
        self._aborting = Aborting(book, traffic)

    async def shift(self, percent: int) -> tuple[State, float]:
        """Gives the color that is not stable this share of the new calls; returns the state, and after how long.

        Raises:
            Refused: if that color runs nothing, or is not healthy, or a release is under way.
        """
        state = self._book.state()
        other = state.stable.other
        _no_release(state)
        if percent > 0:
            await self._must_serve(state, other)
        return await self._move(state, split(other, percent), Event.SHIFTED, other)

    async def promote(self) -> tuple[State, float]:
        """Gives everything to the color that is not stable, which becomes stable.

        Raises:
            Refused: if that color runs nothing, or is not healthy, or was found bad.
        """
        state = self._book.state()
        if state.release is not None and state.release.phase is Phase.ABORTING:
            raise Refused(f"{state.release.canary} was found bad: `intently-release abort` takes it back to the end")
        return await self._take_over(Event.PROMOTED, state, previous=state.stable)

    async def rollback(self) -> tuple[State, float]:
        """Gives everything back to the color that was stable before; the present one is kept as it is.

        Raises:
            Refused: if no color was stable before and is kept, if it is not healthy, or if a release is under way.
        """
        state = self._book.state()
        _no_release(state)
        if state.previous is None:
            raise Refused(
                f"there is nothing to go back to: {state.stable.other} was not stable before {state.stable}, or was "
                "not kept; `intently-release promote` gives it everything all the same, if it runs"
            )
        return await self._take_over(Event.ROLLED_BACK, state, previous=None)

    async def abort(self) -> tuple[State, float]:
        """Gives everything to the stable color, and ends the release that was under way."""
        state = self._book.state()
        if state.release is None and state.weights == all_to(state.stable):
            raise Refused(f"nothing to abort: {state.stable} has all new traffic, and no release is under way")
        if state.release is None:  # a share that was given by hand
            state = state.changed(release=ReleaseState(id="", canary=state.stable.other))
        found = state.release.reasons if state.release else ()
        aborting, seconds = await self._aborting.begin(state, found or ("An operator took it back.",))
        await self._aborting.finish(aborting)
        return self._book.state(), seconds

    async def drain(self) -> State:
        """Stops the color that is not stable: its servers finish what they have, tell streams to move on, and end.

        Raises:
            Refused: if it gets new calls, or has calls under way, or a release is under way.
        """
        state = self._book.state()
        color = state.stable.other
        _no_release(state)
        if state.weights[color] > 0:
            raise Refused(f"{color} gets {state.weights[color]} % of new calls: `intently-release shift 0` first")
        if state.slots[color].wanted != "running":
            raise Refused(f"{color} does not run")
        if (busy := await self._calls_under_way(color)) > 0:
            raise Refused(f"{color} has {busy} calls under way; they take seconds, so try again")
        slot = state.slots[color].model_copy(update={"wanted": "stopped"})
        stopped = state.with_slot(color, slot).changed(previous=None)
        await self._traffic.to(stopped)
        return stopped

    async def _calls_under_way(self, color: Color) -> int:
        """Single calls and batches, pinned ones too; streams are moved on by the drain itself."""
        calls = await self._admin.calls_under_way()
        if color not in calls:
            raise Refused(f"Envoy does not tell how many calls {color} has under way: see `intently-release status`")
        return calls[color]

    async def _take_over(self, event: Event, state: State, previous: Color | None) -> tuple[State, float]:
        other = state.stable.other
        await self._must_serve(state, other)
        changed = state.changed(stable=other, release=None, previous=previous)
        return await self._move(changed, all_to(other), event, other)

    async def _move(self, state: State, weights: Weights, event: Event, color: Color) -> tuple[State, float]:
        moved = state.with_weights(weights)
        seconds = await self._traffic.to(moved)
        slot = moved.slots[color]
        release = state.release.id if state.release else ""
        self._book.note_by_hand(
            Entry(
                event=event, release=release, color=color, bundle=slot.bundle, revision=slot.revision, weights=weights
            )
        )
        return moved, seconds

    async def _must_serve(self, state: State, color: Color) -> None:
        slot = state.slots[color]
        if slot.wanted != "running":
            what = f"its last bundle was {slot.bundle}" if slot.bundle else "it never ran a bundle"
            raise Refused(f"{color} does not run ({what}): intently-release deploy BUNDLE starts it")
        if not await self._traffic.serves(color):
            raise Refused(f"Envoy holds no server of {color} for healthy: see `intently-release status`")


def _no_release(state: State) -> None:
    if (release := state.release) is not None:
        raise Refused(
            f"release {release.id} to {release.canary} is under way, or was interrupted: `intently-release abort` ends "
            "it, `intently-release promote` takes it live"
        )
