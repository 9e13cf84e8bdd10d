"""What calls told, until it is counted and traced, many at once.

That is cheaper than to do it in each call's turn, when the code for it has long left the processor's caches.
"""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from intently_server.telemetry.figures import Figures
from intently_server.telemetry.tracing import CallTrace
from intently_server.types import Classification, Stages

logger = logging.getLogger(__name__)

_MOST = 64  # entries; settling them takes a fraction of a millisecond


class UtteranceEntry(NamedTuple):
    """An utterance that was answered or failed.

    Attributes:
        method: Of its call.
        alone: Whether the call has no other.
        stages: How far it came.
        result: Its answer, or why there is none.
        now: When that was, in seconds of the clock.
        trace: Of its call, if that is sampled.
        utterance: What was said, if traces are to have it.
    """

    method: str
    alone: bool
    stages: Stages
    result: Classification | BaseException
    now: float
    trace: CallTrace | None
    utterance: str | None


class CallEntry(NamedTuple):
    """A call that ended: its method, when it began and ended, how, and its trace if it is sampled."""

    method: str
    arrived: float
    now: float
    status: str
    error: BaseException | None
    trace: CallTrace | None


class Ledger:
    """Keeps entries for a short while. To be used on the event loop alone.

    Args:
        figures: Where they are counted.
        clock: Monotonic seconds.
        now_s: Seconds since 1970.
    """

    def __init__(
        self,
        figures: Figures,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._figures = figures
        self._clock = clock
        self._now_s = now_s
        self._utterances: list[UtteranceEntry] = []
        self._calls: list[CallEntry] = []

    def classified(self, entry: UtteranceEntry) -> None:
        """Keeps an entry."""
        self._utterances.append(entry)
        if len(self._utterances) >= _MOST:
            self.settle()

    def ended(self, entry: CallEntry) -> None:
        """Keeps an entry."""
        self._calls.append(entry)
        if len(self._calls) >= _MOST:
            self.settle()

    def settle(self) -> None:
        """Counts and traces all that was kept. A fault in that is logged, and harms nobody."""
        utterances, self._utterances = self._utterances, []
        calls, self._calls = self._calls, []
        epoch_s = self._now_s() - self._clock()
        for utterance in utterances:  # before the calls, whose spans may be theirs
            try:
                self._settle_utterance(utterance, epoch_s)
            except Exception:
                logger.exception("an utterance could not be counted")
        for call in calls:
            try:
                self._settle_call(call, epoch_s)
            except Exception:
                logger.exception("a call could not be counted")

    def _settle_utterance(self, entry: UtteranceEntry, epoch_s: float) -> None:
        method, alone, stages, result, now, trace, utterance = entry
        point = None if trace is None else trace.classified(utterance, stages, result, now, alone=alone)
        if isinstance(result, BaseException):
            self._figures.failed(method, now - stages.arrived, result, epoch_s + now, alone=alone)
        else:
            self._figures.answered(method, stages, result, epoch_s + now, point)

    def _settle_call(self, entry: CallEntry, epoch_s: float) -> None:
        method, arrived, now, status, error, trace = entry
        point = None if trace is None else trace.ended(status, error, now)
        self._figures.ended(method, now - arrived, status, error, epoch_s + now, point)
