"""Judges a canary while it has a share of the traffic: looks again and again, until it can say."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from intently_release.colors import Color
from intently_release.config import Releasing
from intently_release.errors import ProxyProblem
from intently_release.judge.figures import Figures, read_figures
from intently_release.judge.verdict import FAULTS, Outcome, Verdict, judge
from intently_release.judge.window import Window, between
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.judgement import Finding, Judgement
from intently_release.release.reporting import ColorView, Look, Reporter
from intently_release.state.state import State

_IDLE_POLL_S = 0.2


class StepJudge:
    """Judges the steps of one release.

    Args:
        admin: What Envoy counts.
        plan: Thresholds, and how often to look.
        reporter: Shows each look.
    """

    def __init__(self, admin: EnvoyAdmin, plan: Releasing, reporter: Reporter) -> None:
        self._admin = admin
        self._plan = plan
        self._reporter = reporter
        self._stable: Window | None = None  # the last time in which it had traffic

    async def step(self, name: str, state: State, canary: Color) -> Judgement:
        """Judges a step: at least for its dwell, at most until patience is over.

        A bad canary is told of at once; one that is only slow, when the dwell is over. What cannot be said when
        patience is over is not good.
        """
        watch = _Watch.beginning(await self._figures())
        while True:
            verdict = await self._look(watch, name, state, canary)
            dwelt = watch.compared_s >= self._plan.dwell
            if verdict.kind is Outcome.BAD and (dwelt or not verdict.may_pass):
                return Judgement(Finding.BAD, verdict.reasons)
            if verdict.kind is Outcome.GOOD and dwelt:
                return Judgement(Finding.GOOD, verdict.reasons)
            if dwelt and watch.idle and self._plan.no_traffic == "promote":
                return Judgement(Finding.NO_TRAFFIC, ("No call came, of either color.",))
            if watch.elapsed_s >= self._plan.patience:
                finding = Finding.NO_TRAFFIC if watch.idle else Finding.INCONCLUSIVE
                return Judgement(finding, (*verdict.reasons, *watch.remarks))

    async def watch(self, name: str, state: State, canary: Color, seconds: float) -> Judgement:
        """Watches a canary for so long: only what is bad ends that early, and too few calls are no reason.

        Where Envoy does not tell what is needed it goes on, until patience is over; that is then not good.
        """
        watch = _Watch.beginning(await self._figures())
        while True:
            verdict = await self._look(watch, name, state, canary)
            over = watch.compared_s >= seconds
            if verdict.kind is Outcome.BAD and (over or not verdict.may_pass):
                return Judgement(Finding.BAD, verdict.reasons)
            if over and verdict.kind in {Outcome.GOOD, Outcome.TOO_FEW}:
                return Judgement(Finding.GOOD, verdict.reasons)
            if watch.elapsed_s >= seconds + self._plan.patience:
                return Judgement(Finding.INCONCLUSIVE, verdict.reasons)

    async def streams(self, color: Color) -> int:
        """How many streams are open to a color; 0 if Envoy does not tell."""
        with contextlib.suppress(ProxyProblem):
            return (await self._admin.streams_open()).get(color, 0)
        return 0

    async def wait_idle(self, color: Color, within_s: float) -> bool:
        """Returns once a color has only streams under way, which its drain moves on.

        False if that takes too long, or if Envoy does not tell.
        """
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            with contextlib.suppress(ProxyProblem):
                if (await self._admin.calls_under_way()).get(color) == 0:
                    return True
            await asyncio.sleep(_IDLE_POLL_S)
        return False

    async def _look(self, watch: "_Watch", name: str, state: State, canary: Color) -> Verdict:
        await asyncio.sleep(self._plan.poll)
        windows = watch.windows(await self._figures())
        stable = windows[canary.other]
        if state.weights[canary.other] > 0:
            self._stable = stable
        elif self._stable is not None and not self._stable.problem and not stable.problem:
            # Only its servers are looked at now: what it did is compared with when it had traffic.
            stable = replace(self._stable, healthy=stable.healthy, total=stable.total)
        verdict = judge(self._plan.thresholds, windows[canary], stable)
        self._reporter.look(
            Look(
                step=name,
                weights=state.weights,
                elapsed_s=round(watch.compared_s, 1),
                canary=canary,
                views={color: view_of(window) for color, window in windows.items()},
                outcome=str(verdict.kind),
                verdict=" ".join(verdict.reasons),
            )
        )
        return verdict

    async def _figures(self) -> Mapping[Color, Figures]:
        """What Envoy counts; nothing while it cannot be asked, which is never a pass."""
        try:
            return await read_figures(self._admin)
        except ProxyProblem:
            return {}


@dataclass(slots=True)
class _Watch:
    """What a look is compared with. Times are monotonic, in seconds.

    Attributes:
        before: The figures that the present ones are compared with.
        since: When those were read: again after each restart of Envoy.
        began: When the watch began.
        idle: Whether no call came and none is open.
        open: Calls and streams open at the last look.
    """

    before: Mapping[Color, Figures]
    since: float
    began: float
    idle: bool = False
    open: int = 0

    @classmethod
    def beginning(cls, figures: Mapping[Color, Figures]) -> "_Watch":
        """One that begins now."""
        now = time.monotonic()
        return cls(figures, now, now)

    @property
    def compared_s(self) -> float:
        """Seconds that the figures speak of."""
        return time.monotonic() - self.since

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning, restarts of Envoy or not."""
        return time.monotonic() - self.began

    @property
    def remarks(self) -> tuple[str, ...]:
        """What an operator should know of a look that told too little."""
        if not self.open:
            return ()
        return (f"{self.open} calls and streams are open, which say nothing before they end.",)

    def windows(self, now: Mapping[Color, Figures]) -> dict[Color, Window]:
        """What happened since, by color; after a restart of Envoy the comparison begins anew."""
        windows = {color: between(self.before.get(color), now.get(color)) for color in Color}
        if any(window.problem for window in windows.values()) and now:
            self.before, self.since = now, time.monotonic()  # what was before is not to be compared with
        self.open = sum(window.active for window in windows.values())
        self.idle = not self.open and all(not window.problem and not window.seen for window in windows.values())
        return windows


def view_of(window: Window) -> ColorView:
    """A window for people."""
    return ColorView(
        calls=window.calls,
        per_s=round(window.per_s, 1),
        errors=window.count(FAULTS) + window.unanswered,
        p50_ms=window.latency.quantile(0.5),
        p99_ms=window.latency.quantile(0.99),
        healthy=window.healthy,
        servers=window.total,
    )
