"""Judges a canary while it has a share of the traffic: looks again and again, until it can say."""

import asyncio
import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass

from intently_release.colors import Color
from intently_release.config import Releasing
from intently_release.errors import ProxyProblem
from intently_release.judge.figures import Figures, read_figures, under_way
from intently_release.judge.verdict import FAULTS, Outcome, Verdict, judge
from intently_release.judge.window import Window, between
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.reporting import ColorView, Look, Reporter
from intently_release.state.state import State

_IDLE_POLL_S = 0.2


class Finding(enum.StrEnum):
    """What a step came to."""

    GOOD = "good"
    BAD = "bad"
    INCONCLUSIVE = "inconclusive"
    NO_TRAFFIC = "no_traffic"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a step came to, and why, as sentences for operators."""

    finding: Finding
    reasons: tuple[str, ...]


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
        self._stable = Window()  # the last time in which it had traffic

    async def step(self, name: str, state: State, canary: Color) -> Judgement:
        """Judges a step: at least for its dwell, at most until patience is over.

        A bad canary is told of at once; one that is only slow, when the dwell is over. What cannot be said when
        patience is over is not good.
        """
        watch = _Watch(await self._figures(), time.monotonic())
        while True:
            await asyncio.sleep(self._plan.poll)
            verdict = await self._look(watch, name, state, canary)
            elapsed = time.monotonic() - watch.began
            if verdict.kind is Outcome.BAD and (elapsed >= self._plan.dwell or not verdict.may_pass):
                return Judgement(Finding.BAD, verdict.reasons)
            if verdict.kind is Outcome.GOOD and elapsed >= self._plan.dwell:
                return Judgement(Finding.GOOD, verdict.reasons)
            if elapsed >= self._plan.dwell and watch.idle and self._plan.no_traffic == "promote":
                return Judgement(Finding.NO_TRAFFIC, ("No call came, of either color.",))
            if elapsed >= self._plan.patience:
                finding = Finding.NO_TRAFFIC if watch.idle else Finding.INCONCLUSIVE
                return Judgement(finding, verdict.reasons)

    async def watch(self, name: str, state: State, canary: Color, seconds: float) -> Judgement:
        """Watches a canary for so long: only what is bad ends that early, and too few calls are no reason."""
        watch = _Watch(await self._figures(), time.monotonic())
        verdict, until = Verdict(Outcome.TOO_FEW, ("It was not looked at.",)), time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(min(self._plan.poll, seconds))
            verdict = await self._look(watch, name, state, canary)
            if verdict.kind is Outcome.BAD and not verdict.may_pass:
                return Judgement(Finding.BAD, verdict.reasons)
        return Judgement(Finding.BAD if verdict.kind is Outcome.BAD else Finding.GOOD, verdict.reasons)

    async def wait_idle(self, color: Color, within_s: float) -> bool:
        """Returns once a color has only streams under way, which its drain moves on; False if that takes too long."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            figures = (await self._figures()).get(color)
            if figures is not None and not under_way(figures):
                return True
            await asyncio.sleep(_IDLE_POLL_S)
        return False

    async def _look(self, watch: "_Watch", name: str, state: State, canary: Color) -> Verdict:
        now = await self._figures()
        windows = {color: between(watch.before.get(color), now.get(color)) for color in Color}
        if any(window.problem for window in windows.values()) and now:
            watch.before, watch.began = now, time.monotonic()  # what was before is not to be compared with
        stable = windows[canary.other]
        if state.weights[canary.other] > 0:
            self._stable = stable
        elif not self._stable.problem and not stable.problem:
            stable = self._stable
        watch.idle = all(not window.problem and not window.seen for window in windows.values())
        verdict = judge(self._plan.thresholds, windows[canary], stable)
        self._reporter.look(
            Look(
                step=name,
                weights=state.weights,
                elapsed_s=round(time.monotonic() - watch.began, 1),
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
    """What a look is compared with.

    Attributes:
        before: The figures at its beginning.
        began: When, in monotonic seconds.
        idle: Whether no call came since.
    """

    before: Mapping[Color, Figures]
    began: float
    idle: bool = False


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
