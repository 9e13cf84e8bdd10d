"""What happened in the last minute, from the figures as they stood then."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from intently_server.histogram import LATENCY_BOUNDS, quantile
from intently_server.telemetry.figures import STAGES, Figures

TOTAL = "total"
SHARES = (0.5, 0.9, 0.99)

_STEPS = 12


@dataclass(frozen=True, slots=True)
class _Snapshot:
    time: float
    latencies: dict[str, list[int]]  # counts by bucket, of TOTAL and each stage
    statuses: Counter[str]
    input_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class LastMinute:
    """What happened in the last minute, or since the start where that was later.

    Attributes:
        seconds: How long that is.
        latencies: Of TOTAL and each stage, the seconds that each of SHARES did not exceed; None without answers.
        statuses: Calls that ended, by status.
        answers: Utterances answered.
        cached_share: Of the tokens of their prompts, those that the prefix cache had; None without answers.
    """

    seconds: float
    latencies: dict[str, tuple[float | None, ...]]
    statuses: Counter[str]
    answers: int
    cached_share: float | None


class Window:
    """Remembers the figures of the last minute, one in five seconds.

    Args:
        figures: What is counted.
        clock: Monotonic seconds.
    """

    def __init__(self, figures: Figures, clock: Callable[[], float] = time.monotonic) -> None:
        self._figures = figures
        self._clock = clock
        self._snapshots = deque([self._snapshot()], maxlen=_STEPS)

    def remember(self) -> None:
        """Remembers the figures as they stand; to be called every five seconds."""
        self._snapshots.append(self._snapshot())

    def last_minute(self) -> LastMinute:
        """What happened since the oldest figures that are remembered."""
        then, now = self._snapshots[0], self._snapshot()
        changes = {
            name: [late - early for late, early in zip(counts, then.latencies[name], strict=True)]
            for name, counts in now.latencies.items()
        }
        tokens = now.input_tokens - then.input_tokens
        return LastMinute(
            seconds=now.time - then.time,
            latencies={
                name: tuple(quantile(LATENCY_BOUNDS, counts, share) for share in SHARES)
                for name, counts in changes.items()
            },
            statuses=now.statuses - then.statuses,
            answers=sum(changes[TOTAL]),
            cached_share=(now.cached_tokens - then.cached_tokens) / tokens if tokens else None,
        )

    def _snapshot(self) -> _Snapshot:
        figures = self._figures
        statuses: Counter[str] = Counter()
        for (_, status, _), count in figures.calls.items():
            statuses[status] += count
        latencies = {TOTAL: list(figures.answer_duration.counts)}
        latencies.update((name, list(figures.stage(name).counts)) for name in STAGES)
        return _Snapshot(self._clock(), latencies, statuses, figures.input_tokens, figures.cached_tokens)
