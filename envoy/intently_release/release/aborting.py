"""Takes a canary back: first its traffic, then, if the stable color serves, its servers.

That it was found bad is written down before anything else is done, so that whoever comes after a kill finishes this and
does not give it another chance.
"""

from intently_release.colors import all_to
from intently_release.release.book import Book, at, under_way
from intently_release.release.traffic import Traffic
from intently_release.state.history import Event
from intently_release.state.state import Phase, State


class Aborting:
    """Ends a release by giving everything back.

    Args:
        book: Where it is written down.
        traffic: Moves it.
    """

    def __init__(self, book: Book, traffic: Traffic) -> None:
        self._book = book
        self._traffic = traffic

    async def begin(self, state: State, reasons: tuple[str, ...]) -> tuple[State, float]:
        """Gives the stable color all new calls; returns the state, and after how many seconds Envoy did so."""
        aborting = at(state, Phase.ABORTING, reasons).with_weights(all_to(state.stable))
        return aborting, await self._traffic.to(aborting)

    async def finish(self, state: State) -> tuple[str, ...]:
        """Stops the canary and ends the release; returns why it was taken back.

        While no server of the stable color is healthy its calls fall back to the canary, which is then kept.
        """
        release = under_way(state)
        await self._traffic.to(state)
        slot, reasons = state.slots[release.canary], release.reasons
        if await self._traffic.serves(state.stable):
            slot = slot.model_copy(update={"wanted": "stopped"})
        else:
            kept = f"{release.canary} is kept running: {state.stable} has no healthy server, and its calls fall back"
            reasons = (*reasons, kept)
        done = state.with_slot(release.canary, slot).changed(release=None)
        self._book.note(Event.ABORTED, done, release, reasons)
        await self._traffic.to(done)
        return reasons
