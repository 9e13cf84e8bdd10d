"""One release from its beginning to its end, in steps that may be run again.

What was reached is written down before the next thing is done, so that whoever is interrupted runs the command again
and goes on from there.
"""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from intently_release.colors import Color, all_to, split
from intently_release.config import Releasing
from intently_release.errors import Refused, ServerProblem, StateProblem
from intently_release.release.judging import Finding, Judgement, StepJudge
from intently_release.release.outcome import Ending, Result
from intently_release.release.packaged import Packaged
from intently_release.release.readiness import Readiness
from intently_release.release.reporting import Event, Reporter
from intently_release.release.shifting import Shifting
from intently_release.state.history import Entry, History
from intently_release.state.history import Event as Happened
from intently_release.state.state import Phase, ReleaseState, Slot, State
from intently_release.state.store import Store

GoldenCheck = Callable[[Color, Packaged], Awaitable[list[str]]]


class Deploy:
    """One release. The caller holds the store's lock.

    Args:
        plan: Steps, times and thresholds.
        store: Keeps the state.
        history: Is told what was done.
        shifting: Moves traffic.
        readiness: Waits for the canary.
        golden: Sends a color the bundle's golden requests; returns what is wrong with its answers.
        judge: Judges the canary beside the stable color.
        reporter: Shows how it goes.
        mirror_percent: Of single calls that the canary gets copies of before it gets any.
    """

    def __init__(
        self,
        plan: Releasing,
        store: Store,
        history: History,
        shifting: Shifting,
        readiness: Readiness,
        golden: GoldenCheck,
        judge: StepJudge,
        reporter: Reporter,
        mirror_percent: int = 0,
    ) -> None:
        self._plan = plan
        self._store = store
        self._history = history
        self._shifting = shifting
        self._readiness = readiness
        self._golden = golden
        self._judge = judge
        self._reporter = reporter
        self._mirror_percent = mirror_percent

    async def run(self, packaged: Packaged) -> Result:
        """Takes a bundle live, or goes on with what was interrupted.

        Raises:
            Refused: if nothing runs, or another bundle's release was interrupted.
            ReleaseError: if Envoy or the state fail; the release stands where it stood.
        """
        await self._shifting.must_be_possible()
        state = self._begin(packaged)
        if state is None:
            return Result(Ending.ALREADY_LIVE)
        release = _under_way(state)
        if release.phase in {Phase.STARTING, Phase.CHECKING}:
            try:
                problems = await self._prepare(state, packaged)
            except ServerProblem as problem:
                problems = (str(problem),)
            if problems:
                return await self._abort(self._state(), problems)
        if (stopped := await self._climb()) is not None:
            return stopped
        return await self._settle()

    def _begin(self, packaged: Packaged) -> State | None:
        """The state of a release of this bundle, new or interrupted; None if it is live already."""
        state = self._store.read()
        if state is None:
            raise Refused("nothing runs here yet: intently-release up --bundle DIR")
        if state.release is not None:
            return self._resumed(state, packaged)
        if state.slots[state.stable].revision == packaged.revision:
            self._say("already_live", f"{packaged.name} {packaged.revision[:12]} is live on {state.stable}")
            return None
        canary = state.stable.other
        identity = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        started = state.with_slot(
            canary, Slot(bundle=packaged.path, revision=packaged.revision, wanted="running")
        ).changed(weights=all_to(state.stable), release=ReleaseState(id=identity, canary=canary))
        self._store.write(started)
        self._note(Happened.STARTED, started)
        self._say("started", f"{canary} starts on {packaged.name} {packaged.revision[:12]}", release=identity)
        return started

    def _resumed(self, state: State, packaged: Packaged) -> State:
        release = _under_way(state)
        slot = state.slots[release.canary]
        if slot.revision != packaged.revision:
            raise Refused(
                f"a release of {slot.bundle} ({slot.revision[:12]}) to {release.canary} was interrupted while "
                f"{release.phase}: go on with `intently-release deploy {slot.bundle}`, or end it with "
                "`intently-release abort`"
            )
        self._say("resumed", f"going on with release {release.id}, which was {release.phase}", release=release.id)
        return state

    async def _prepare(self, state: State, packaged: Packaged) -> tuple[str, ...]:
        """Waits for the canary and checks its answers; returns what is wrong."""
        canary = _under_way(state).canary
        await self._shifting.to(state)
        seconds = await self._readiness.wait(canary, packaged)
        self._say("ready", f"{canary} is SERVING, after {seconds:.1f} s", seconds=round(seconds, 3))
        await self._shifting.to(_at(state, Phase.CHECKING))
        problems = await self._golden(canary, packaged)
        if problems:
            return tuple(problems)
        count = len(packaged.manifest.golden_vectors)
        self._say("golden", f"{count} golden requests through Envoy came back as they should", requests=count)
        return await self._mirror()

    async def _mirror(self) -> tuple[str, ...]:
        """Sends the canary copies of calls for a dwell, where that is configured; returns what is wrong with it."""
        if not self._mirror_percent:
            return ()
        state = self._state()
        canary = _under_way(state).canary
        await self._shifting.to(state, mirror_to=canary)
        self._say("mirroring", f"copies of {self._mirror_percent} % of single calls to {canary}")
        judgement = await self._judge.watch("mirroring", state, canary, self._plan.dwell)
        await self._shifting.to(state)
        return judgement.reasons if judgement.finding is Finding.BAD else ()

    async def _climb(self) -> Result | None:
        """Walks the steps; returns how it ended if it did."""
        state = self._state()
        release = _under_way(state)
        if release.phase in {Phase.BAKING, Phase.DRAINING}:
            return None
        for step in range(release.step, len(self._plan.steps)):
            percent = self._plan.steps[step]
            before = self._state()
            state = _at(before, Phase.SHIFTING, step).with_weights(split(release.canary, percent))
            seconds = await self._shifting.to(state)
            self._say("shifted", f"{percent} % to {release.canary}", percent=percent, applied_s=round(seconds, 4))
            if percent == 100:
                return None
            judgement = await self._judge.step(f"{percent} %", state, release.canary)
            if (ended := await self._unless_good(state, judgement)) is not None:
                return ended
        return None

    async def _settle(self) -> Result:
        """All new traffic is the canary's: it is watched, becomes stable, and the old one is kept or stopped."""
        state = self._state()
        release = _under_way(state)
        if release.phase is not Phase.BAKING:
            state = _at(state, Phase.BAKING, release.step)
            await self._shifting.to(state)
        if self._plan.bake > 0:
            judgement = await self._judge.watch("baking", state, release.canary, self._plan.bake)
            if judgement.finding is Finding.BAD:
                return await self._abort(state, judgement.reasons)
        old = state.slots[state.stable]
        if self._plan.old_color == "stop":
            await self._judge.wait_idle(state.stable, self._plan.patience)
            old = old.model_copy(update={"wanted": "stopped"})
        done = state.with_slot(state.stable, old).changed(stable=release.canary, release=None)
        await self._shifting.to(done)
        self._note(Happened.PROMOTED, done, release)
        kept = "is kept running for a rollback" if self._plan.old_color == "keep" else "drains and stops"
        self._say("promoted", f"{release.canary} has all new traffic; {state.stable} {kept}", release=release.id)
        return Result(Ending.PROMOTED)

    async def _unless_good(self, state: State, judgement: Judgement) -> Result | None:
        if judgement.finding is Finding.GOOD:
            return None
        if judgement.finding is Finding.NO_TRAFFIC and self._plan.no_traffic == "promote":
            self._say("no_traffic", "no call came: the golden requests have decided")
            return None
        if judgement.finding is Finding.BAD:
            return await self._abort(state, judgement.reasons)
        return await self._take_back(state, judgement.reasons)

    async def _abort(self, state: State, reasons: tuple[str, ...]) -> Result:
        """Everything back to the stable color, and the canary is stopped."""
        release = _under_way(state)
        stopped = state.slots[release.canary].model_copy(update={"wanted": "stopped"})
        back = state.with_weights(all_to(state.stable))
        await self._shifting.to(back)
        done = back.with_slot(release.canary, stopped).changed(release=None)
        await self._shifting.to(done)
        self._note(Happened.ABORTED, done, release, reasons)
        self._say("aborted", f"{state.stable} has all new traffic again: {'; '.join(reasons)}", reasons=list(reasons))
        return Result(Ending.ABORTED, reasons)

    async def _take_back(self, state: State, reasons: tuple[str, ...]) -> Result:
        """Nobody can say whether the canary is good: it gets no traffic, and stays as it is for who decides."""
        release = _under_way(state)
        done = state.with_weights(all_to(state.stable)).changed(release=None)
        await self._shifting.to(done)
        self._note(Happened.INCONCLUSIVE, done, release, reasons)
        self._say(
            "inconclusive",
            f"{release.canary} gets no traffic and is kept: {'; '.join(reasons)}. `intently-release promote` takes it "
            "live all the same; with --no-traffic=promote the golden requests decide where there is no traffic",
            reasons=list(reasons),
        )
        return Result(Ending.INCONCLUSIVE, reasons)

    def _state(self) -> State:
        state = self._store.read()
        if state is None:
            raise StateProblem("the state was removed while it was being changed")
        return state

    def _note(
        self, happened: Happened, state: State, release: ReleaseState | None = None, reasons: tuple[str, ...] = ()
    ) -> None:
        release = release or _under_way(state)
        slot = state.slots[release.canary]
        self._history.append(
            Entry(
                event=happened,
                release=release.id,
                color=release.canary,
                bundle=slot.bundle,
                revision=slot.revision,
                weights=state.weights,
                reasons=reasons,
            )
        )

    def _say(self, kind: str, text: str, **fields: object) -> None:
        self._reporter.event(Event(kind, text, dict(fields)))


def _under_way(state: State) -> ReleaseState:
    if state.release is None:
        raise StateProblem("the release under way was taken out of the state while it was being changed")
    return state.release


def _at(state: State, phase: Phase, step: int = 0) -> State:
    """The same, as far as that."""
    return state.changed(release=_under_way(state).model_copy(update={"phase": phase, "step": step}))
