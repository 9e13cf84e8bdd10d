"""One release from its beginning to its end, in steps that may be run again.

What was reached is written down before the next thing is done, so that whoever is interrupted runs the command again
and goes on from there. Who is told to stop, or cannot go on, first takes the canary's share back: nobody would judge it
any more.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from intently_release.colors import Color, all_to, split
from intently_release.config import Releasing
from intently_release.errors import ProxyProblem, Refused, ReleaseError, ServerProblem
from intently_release.release.aborting import Aborting
from intently_release.release.book import Book, at, entry_of, under_way
from intently_release.release.judgement import Finding, Judgement
from intently_release.release.outcome import Ending, Result
from intently_release.release.packaged import Packaged
from intently_release.release.reporting import Event, Reporter
from intently_release.release.traffic import Judge, Ready, Traffic
from intently_release.release.unfinished import Unfinished
from intently_release.state.history import Event as Happened
from intently_release.state.state import Phase, ReleaseState, Slot, State

GoldenCheck = Callable[[Color, Packaged], Awaitable[list[str]]]


class Deploy:
    """One release. The caller holds the store's lock.

    Args:
        plan: Steps, times and thresholds.
        book: Where what is wanted and what was done stand.
        traffic: Moves it.
        readiness: Waits for the canary.
        golden: Sends a color the bundle's golden requests; returns what is wrong with its answers.
        judge: Judges the canary beside the stable color.
        reporter: Shows how it goes.
        mirror_percent: Of single calls that the canary gets copies of before it gets any.
    """

    def __init__(
        self,
        plan: Releasing,
        book: Book,
        traffic: Traffic,
        readiness: Ready,
        golden: GoldenCheck,
        judge: Judge,
        reporter: Reporter,
        mirror_percent: int = 0,
    ) -> None:
        self._plan = plan
        self._book = book
        self._traffic = traffic
        self._readiness = readiness
        self._golden = golden
        self._judge = judge
        self._reporter = reporter
        self._mirror_percent = mirror_percent
        self._aborting = Aborting(book, traffic)
        self._unfinished = Unfinished(book, traffic)

    async def run(self, packaged: Packaged) -> Result:
        """Takes a bundle live, or goes on with what was interrupted.

        Cancelled, or where Envoy or a disk fails, it gives the stable color everything first, as far as that can be
        done; the release can be gone on with.

        Raises:
            Refused: if nothing runs, weights were moved by hand, or another bundle's release was interrupted.
            ReleaseError: if Envoy or the state fail.
        """
        await self._traffic.must_be_possible()
        await self._finish_what_was_begun()
        state = self._begin(packaged)
        if state is None:
            return await self._already_live()
        try:
            return await self._go_on(packaged)
        except asyncio.CancelledError:
            await self._retreat()
            raise
        except Exception as error:
            try:
                await self._retreat((str(error),) if isinstance(error, ReleaseError) else ())
            except Exception as also:
                error.add_note(f"taking the canary's share back failed, too: {also}")
                self._say("not_taken_back", f"the canary's share could not be taken back, as far as is known: {also}")
            raise

    async def _finish_what_was_begun(self) -> None:
        """A release goes on by itself; what another command began, or a release whose end was cut off, does not."""
        if self._book.state().release is None and (finished := await self._unfinished.finish()):
            self._say("finished", finished)

    async def _already_live(self) -> Result:
        """Whoever promoted it may have been killed before its streams had moved."""
        left = self._book.state().previous if self._book.latest() is Happened.PROMOTED else None
        return Result(Ending.ALREADY_LIVE, left=left, streams=await self._judge.streams(left) if left else 0)

    async def _go_on(self, packaged: Packaged) -> Result:
        state = self._book.state()
        release = under_way(state)
        if release.phase is Phase.ABORTING:
            return await self._end_aborted(state)
        if release.phase in {Phase.STARTING, Phase.CHECKING}:
            try:
                problems = await self._prepare(state, packaged)
            except ServerProblem as problem:
                problems = (str(problem),)
            if problems:
                return await self._abort(problems)
        if release.phase is not Phase.BAKING and (stopped := await self._climb()) is not None:
            return stopped
        return await self._settle()

    def _begin(self, packaged: Packaged) -> State | None:
        """The state of a release of this bundle, new or interrupted; None if it is live already."""
        state = self._book.state()
        if state.release is not None:
            return self._resumed(state, packaged)
        canary, live = state.stable.other, state.slots[state.stable]
        if state.weights != all_to(state.stable):
            raise Refused(
                f"{canary} has {state.weights[canary]} % of new calls, by hand: take them back with "
                "`intently-release shift 0`, or keep it with `intently-release promote`"
            )
        if live.revision == packaged.revision:
            self._say("already_live", f"{packaged.name} {packaged.revision[:12]} is live on {state.stable}")
            return None
        if live.bundle == packaged.path:
            raise Refused(
                f"{packaged.path} is what {state.stable} runs, as revision {live.revision[:12]}, and now holds "
                f"{packaged.revision[:12]}: were {state.stable} started again, it would serve what nobody has judged. "
                "Put the old bundle back, and the new one into a folder of its own"
            )
        identity = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        # A server that runs this already stays, and knows how often its streams were to move.
        moves = state.slots[canary].moves
        slot = Slot(bundle=packaged.path, revision=packaged.revision, wanted="running", moves=moves)
        release = ReleaseState(id=identity, canary=canary)
        started = state.with_slot(canary, slot).changed(release=release, previous=None)
        self._book.write(started)
        self._book.note(Happened.STARTED, started, release)
        self._say("started", f"{canary} starts on {packaged.name} {packaged.revision[:12]}", release=identity)
        return started

    def _resumed(self, state: State, packaged: Packaged) -> State:
        release = under_way(state)
        slot = state.slots[release.canary]
        if slot.revision != packaged.revision:
            raise Refused(
                f"a release of {slot.bundle} ({slot.revision[:12]}) to {release.canary} was interrupted while "
                f"{release.phase}: go on with `intently-release deploy {slot.bundle}`, or end it with "
                "`intently-release abort`"
            )
        if release.phase is Phase.STARTING and not self._book.tells_of(release):
            self._book.note(Happened.STARTED, state, release)
        self._say("resumed", f"going on with release {release.id}, which was {release.phase}", release=release.id)
        return state

    async def _prepare(self, state: State, packaged: Packaged) -> tuple[str, ...]:
        """Waits for the canary and checks its answers; returns what is wrong."""
        canary = under_way(state).canary
        await self._traffic.to(state)
        seconds = await self._readiness.wait(canary, packaged)
        self._say("ready", f"{canary} is SERVING, after {seconds:.1f} s", seconds=round(seconds, 3))
        await self._traffic.to(at(state, Phase.CHECKING))
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
        state = self._book.state()
        canary = under_way(state).canary
        await self._traffic.to(state, mirror_to=canary)
        self._say("mirroring", f"copies of {self._mirror_percent} % of single calls to {canary}")
        judgement = await self._judge.watch("mirroring", state, canary, self._plan.dwell)
        await self._traffic.to(state)
        return judgement.reasons if judgement.finding is Finding.BAD else ()

    async def _climb(self) -> Result | None:
        """Walks the steps; returns how it ended if it did.

        Whoever goes on judges the share that the canary has, and then takes the steps that are above it: this plan's,
        whatever the one was that was interrupted.
        """
        canary = under_way(self._book.state()).canary
        present = self._book.state().weights[canary]
        for percent in sorted(
            {*(step for step in self._plan.steps if step > present), *([present] if present else [])}
        ):
            state = at(self._book.state(), Phase.SHIFTING).with_weights(split(canary, percent))
            seconds = await self._traffic.to(state)
            self._book.note(Happened.SHIFTED, state, under_way(state))
            self._say("shifted", f"{percent} % to {canary}", percent=percent, applied_s=round(seconds, 4))
            if percent == 100:
                break
            judgement = await self._judge.step(f"{percent} %", state, canary)
            if (ended := await self._unless_good(state, judgement)) is not None:
                return ended
        return None

    async def _settle(self) -> Result:
        """All new traffic is the canary's: it is watched, becomes stable, and the old one is kept or stopped."""
        canary = under_way(self._book.state()).canary
        state = at(self._book.state(), Phase.BAKING).with_weights(all_to(canary))
        await self._traffic.to(state)
        if self._plan.bake > 0:
            judgement = await self._judge.watch("baking", state, canary, self._plan.bake)
            if (ended := await self._unless_good(state, judgement)) is not None:
                return ended
        release, old, slot = under_way(state), state.stable, state.slots[state.stable]
        kept = "is kept running for a rollback"
        if self._plan.old_color == "stop":
            if await self._judge.wait_idle(old, self._plan.patience):
                slot, kept = slot.model_copy(update={"wanted": "stopped"}), "drains and stops"
            else:
                kept = "still has calls under way and is kept running: `intently-release drain` stops it"
        previous = old if slot.wanted == "running" else None
        done = state.with_slot(old, slot).changed(stable=canary, release=None, previous=previous)
        streams = await self._judge.streams(old) if previous else 0
        self._book.note(Happened.PROMOTED, done, release)
        await self._traffic.to(done.with_streams_moved())
        self._say("promoted", f"{canary} has all new traffic; {old} {kept}", release=release.id)
        return Result(Ending.PROMOTED, left=previous, streams=streams)

    async def _unless_good(self, state: State, judgement: Judgement) -> Result | None:
        if judgement.finding is Finding.GOOD:
            return None
        if judgement.finding is Finding.NO_TRAFFIC and self._plan.no_traffic == "promote":
            self._say("no_traffic", "no call came: the golden requests have decided")
            return None
        if judgement.finding is Finding.BAD:
            return await self._abort(judgement.reasons)
        return await self._take_back(state, judgement.reasons)

    async def _abort(self, reasons: tuple[str, ...]) -> Result:
        """Everything back to the stable color, and the canary is stopped."""
        aborting, _ = await self._aborting.begin(self._book.state(), reasons)
        return await self._end_aborted(aborting)

    async def _end_aborted(self, state: State) -> Result:
        reasons = await self._aborting.finish(state)
        self._say("aborted", f"{state.stable} has all new traffic again: {'; '.join(reasons)}", reasons=list(reasons))
        return Result(Ending.ABORTED, reasons)

    async def _take_back(self, state: State, reasons: tuple[str, ...]) -> Result:
        """Nobody can say whether the canary is good: it gets no traffic, and stays as it is for who decides.

        What is pending until Envoy has followed and the streams are told to move is finished by whoever comes next.
        """
        release = under_way(state)
        done = state.with_weights(all_to(state.stable)).changed(release=None)
        done = done.changed(pending=entry_of(Happened.INCONCLUSIVE, done, release, reasons))
        await self._traffic.to(done)
        self._book.write(self._book.told(done).with_streams_moved())
        self._say(
            "inconclusive",
            f"{release.canary} gets no traffic and is kept: {'; '.join(reasons)}. `intently-release promote` takes it "
            "live all the same; with --no-traffic=promote the golden requests decide where there is no traffic",
            reasons=list(reasons),
        )
        return Result(Ending.INCONCLUSIVE, reasons)

    async def _retreat(self, reasons: tuple[str, ...] = ()) -> None:
        """Nobody will judge the canary from now on: it gets no share and no copies, and the steps begin anew.

        Streams that were opened to it move, once Envoy routes elsewhere. Whoever is killed before that leaves them, and
        a release: whatever command comes next judges the canary again, gives it everything, or stops it.

        Raises:
            ReleaseError: if that cannot be written down, or Envoy does not say that it has taken it up.
        """
        state = self._book.state()
        if state.release is None:
            await self._unfinished.finish()  # it has ended: Envoy may not have heard so, nor the streams
            return
        if state.release.phase is Phase.ABORTING:
            await self._traffic.to(state)  # it was found bad: Envoy may not have heard so
            return
        had_share = state.release.phase in {Phase.SHIFTING, Phase.BAKING}
        if had_share:
            state = at(state, Phase.SHIFTING).with_weights(all_to(state.stable))
        try:
            await self._traffic.to(state)
        except ProxyProblem:  # it reads the new routes all the same, as soon as it can
            self._book.note(Happened.INTERRUPTED, state, under_way(state), reasons)
            raise
        if had_share:
            self._book.write(state.with_streams_moved())
        self._book.note(Happened.INTERRUPTED, state, under_way(state), reasons)
        self._say("interrupted", f"{state.stable} has all new traffic until somebody goes on")

    def _say(self, kind: str, text: str, **fields: object) -> None:
        self._reporter.event(Event(kind, text, dict(fields)))
