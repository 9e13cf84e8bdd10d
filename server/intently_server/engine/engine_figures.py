"""What an engine tells of its steps, in plain numbers that add up over all who ask it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from intently_server.histogram import LATENCY_BOUNDS, Histogram

TOKEN_BOUNDS = tuple(float(1 << power) for power in range(3, 17))  # 8 to 65,536

_COUNTS = ("preemptions", "cache_queries", "cache_hits", "prompt_tokens", "cached_tokens")
_GAUGES = ("told_at", "running", "waiting", "cache_usage")
_HISTOGRAMS = ("step_tokens", "prompt", "latency", "queue", "inference")
_QUEUED, _SCHEDULED, _PREEMPTED = 1, 2, 3  # of vLLM's EngineCoreEventType


class Ended(NamedTuple):
    """A request that a step ended.

    Attributes:
        arrived: When it was handed to the engine, in monotonic seconds, which all processes of a host share.
        events: vLLM's EngineCoreEvents: when it was queued, computed, put back.
        prefill: vLLM's PrefillStats, or None.
        reason: Why it ended, as vLLM says it.
    """

    arrived: float
    events: Any
    prefill: Any
    reason: Any


class EngineStep(NamedTuple):
    """What an engine core tells after a step.

    Attributes:
        engine: Its number.
        told_at: When it came here, in monotonic seconds.
        ended_at: When the step was over.
        scheduler: vLLM's SchedulerStats, or None.
        ended: What it ended.
    """

    engine: int
    told_at: float
    ended_at: float
    scheduler: Any
    ended: Sequence[Ended]


class EngineFigures:
    """What one engine has told.

    Attributes:
        told_at: When it last told `running`, `waiting` and `cache_usage`, in monotonic seconds, which all processes of
            a host share. Of those who ask one engine it tells one alone after each step.
    """

    def __init__(self) -> None:
        self.told_at = float("-inf")
        self.running = self.waiting = self.preemptions = 0
        self.cache_usage = 0.0
        self.cache_queries = self.cache_hits = 0
        self.prompt_tokens = self.cached_tokens = 0
        self.finished: Counter[str] = Counter()  # by reason
        self.step_tokens = Histogram(TOKEN_BOUNDS)
        self.prompt = Histogram(TOKEN_BOUNDS)
        self.latency = Histogram(LATENCY_BOUNDS)
        self.queue = Histogram(LATENCY_BOUNDS)
        self.inference = Histogram(LATENCY_BOUNDS)

    def count(self, step: EngineStep) -> None:
        """Counts a step."""
        scheduler = step.scheduler
        if scheduler is not None:
            self.told_at = step.told_at
            self.running = scheduler.num_running_reqs
            self.waiting = scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs
            self.cache_usage = scheduler.kv_cache_usage
            cache = scheduler.prefix_cache_stats
            self.cache_queries += cache.queries
            self.cache_hits += cache.hits
        if not step.ended:
            return
        computed = 0
        for request in step.ended:
            computed += self._count_request(request, step)
        self.step_tokens.record(computed)

    def _count_request(self, request: Ended, step: EngineStep) -> int:
        """Returns how many of its tokens were computed."""
        self.finished[str(request.reason)] += 1
        self.latency.record(step.told_at - request.arrived)
        begun: dict[int, float] = {}
        for event in request.events or ():
            begun.setdefault(event.type, event.timestamp)  # the first: of one that was put back there are more
            self.preemptions += event.type == _PREEMPTED
        if _QUEUED in begun and _SCHEDULED in begun:
            self.queue.record(begun[_SCHEDULED] - begun[_QUEUED])
            self.inference.record(step.ended_at - begun[_SCHEDULED])
        prefill = request.prefill
        if prefill is None:
            return 0
        self.prompt.record(prefill.num_prompt_tokens)
        self.prompt_tokens += prefill.num_prompt_tokens
        self.cached_tokens += prefill.num_cached_tokens
        return int(prefill.num_computed_tokens)

    @classmethod
    def sum_of(cls, parts: Sequence["EngineFigures"], dead: Sequence["EngineFigures"] = ()) -> "EngineFigures":
        """What several were told by one engine: counts and histograms add up, the rest is what came last to the living.

        Args:
            parts: Of those who go on asking it.
            dead: Of those who did.
        """
        total = cls()
        newest = max(parts, key=lambda part: part.told_at, default=total)
        for name in _GAUGES:
            setattr(total, name, getattr(newest, name))
        for part in (*parts, *dead):
            for name in _COUNTS:
                setattr(total, name, getattr(total, name) + getattr(part, name))
            total.finished.update(part.finished)
            for name in _HISTOGRAMS:
                getattr(total, name).add(getattr(part, name))
        return total


Figures = Mapping[int, EngineFigures]
"""Of each engine, by its number."""


def sum_of_all(parts: Iterable[Figures], dead: Iterable[Figures] = ()) -> Figures:
    """What several were told by the same engines. See `EngineFigures.sum_of`."""
    told, once = _by_engine(parts), _by_engine(dead)
    return {number: EngineFigures.sum_of(told.get(number, ()), once.get(number, ())) for number in {**told, **once}}


def _by_engine(parts: Iterable[Figures]) -> Mapping[int, Sequence[EngineFigures]]:
    told: dict[int, list[EngineFigures]] = {}
    for part in parts:
        for number, figures in part.items():
            told.setdefault(number, []).append(figures)
    return told
