"""What an operator does without a judgement: shift, promote, abort, roll back, drain."""

from intently_release.colors import Color, Weights, all_to, split
from intently_release.config import ReleaseConfig
from intently_release.errors import Refused
from intently_release.judge.figures import read_figures, under_way
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.shifting import Shifting
from intently_release.state.history import Entry, Event, History
from intently_release.state.state import State
from intently_release.state.store import Store


class ByHand:
    """Each method is one command. The caller holds the store's lock.

    Args:
        config: How many servers a color has.
        store: Keeps the state.
        history: Is told what was done.
        shifting: Moves traffic.
        admin: Says which servers are healthy.
    """

    def __init__(
        self, config: ReleaseConfig, store: Store, history: History, shifting: Shifting, admin: EnvoyAdmin
    ) -> None:
        self._config = config
        self._store = store
        self._history = history
        self._shifting = shifting
        self._admin = admin

    async def shift(self, percent: int) -> tuple[State, float]:
        """Gives the color that is not stable this share of the new calls; returns the state, and after how long.

        Raises:
            Refused: if that color runs nothing, or is not healthy.
        """
        state = self._state()
        other = state.stable.other
        if percent > 0:
            await self._must_serve(state, other)
        return await self._move(state, split(other, percent), Event.SHIFTED, other)

    async def promote(self) -> tuple[State, float]:
        """Gives everything to the color that is not stable, which becomes stable.

        Raises:
            Refused: if that color runs nothing, or is not healthy.
        """
        return await self._take_over(Event.PROMOTED)

    async def rollback(self) -> tuple[State, float]:
        """Gives everything back to the color that was stable before; the present one is kept as it is.

        Raises:
            Refused: if that color was stopped, or is not healthy, or if a release is under way.
        """
        if (release := self._state().release) is not None:
            raise Refused(f"release {release.id} to {release.canary} is under way: `intently-release abort` ends it")
        return await self._take_over(Event.ROLLED_BACK)

    async def abort(self) -> tuple[State, float]:
        """Gives everything to the stable color, and ends the release that was under way."""
        state = self._state()
        canary = state.stable.other
        if state.release is None and state.weights == all_to(state.stable):
            raise Refused(f"nothing to abort: {state.stable} has all new traffic, and no release is under way")
        slot = state.slots[canary].model_copy(update={"wanted": "stopped"})
        moved, seconds = await self._move(state.changed(release=None), all_to(state.stable), Event.ABORTED, canary)
        done = moved.with_slot(canary, slot)
        await self._shifting.to(done)
        return done, seconds

    async def drain(self) -> State:
        """Stops the color that is not stable: its servers finish what they have, tell streams to move on, and end.

        Raises:
            Refused: if it gets new calls, or has calls under way, or a release is under way.
        """
        state = self._state()
        color = state.stable.other
        if state.release is not None:
            raise Refused(f"release {state.release.id} is under way: `intently-release abort` ends it")
        if state.weights[color] > 0:
            raise Refused(f"{color} gets {state.weights[color]} % of new calls: `intently-release shift 0` first")
        if state.slots[color].wanted != "running":
            raise Refused(f"{color} does not run")
        if (busy := await self._calls_under_way(color)) > 0:
            raise Refused(f"{color} has {busy} calls under way; they take seconds, so try again")
        stopped = state.with_slot(color, state.slots[color].model_copy(update={"wanted": "stopped"}))
        await self._shifting.to(stopped)
        return stopped

    async def _calls_under_way(self, color: Color) -> int:
        """Single calls and batches; streams are moved on by the drain itself."""
        figures = (await read_figures(self._admin)).get(color)
        return 0 if figures is None else under_way(figures)

    async def _take_over(self, event: Event) -> tuple[State, float]:
        state = self._state()
        other = state.stable.other
        await self._must_serve(state, other)
        return await self._move(state.changed(stable=other, release=None), all_to(other), event, other)

    async def _move(self, state: State, weights: Weights, event: Event, color: Color) -> tuple[State, float]:
        moved = state.with_weights(weights)
        seconds = await self._shifting.to(moved)
        slot = moved.slots[color]
        release = state.release.id if state.release else ""
        self._history.append(
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
        hosts = (await self._admin.hosts()).get(color)
        if hosts is None or not hosts.healthy:
            raise Refused(f"Envoy holds no server of {color} for healthy: see `intently-release status`")

    def _state(self) -> State:
        state = self._store.read()
        if state is None:
            raise Refused("nothing runs here yet: intently-release up --bundle DIR")
        return state
