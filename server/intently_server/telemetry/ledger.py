"""What calls told, until it is counted and traced, many at once.

That is cheaper than to do it in each call's turn, when the code for it has long left the processor's caches.
"""

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable
from typing import NamedTuple

from intently_server.telemetry.figures import UNARY, Figures, reason_of
from intently_server.telemetry.spans import CallTrace
from intently_server.types import Classification, Stages

logger = logging.getLogger(__name__)

# Entries. What is kept of a call is a dozen objects: of 64 calls they would set off Python's garbage collector, which
# passes on what it finds alive, and so at last runs over all there is.
_MOST = 16


def bare(error: BaseException) -> BaseException:
    """The same error without traceback and causes, which hold the frames that it went through, and so the request."""
    try:
        kept = type(error).__new__(type(error))
    except TypeError:  # a fault of ours, of a class that cannot be made of nothing
        kept = Exception()
    kept.__dict__.update(error.__dict__)
    return kept


class UtteranceEntry(NamedTuple):
    """An utterance that was answered or failed.

    Attributes:
        stages: How far it came.
        result: Its answer, or why there is none, as `bare` makes it.
        now: When that was, in seconds of the clock.
        utterance: What was said, if traces are to have it.
    """

    stages: Stages
    result: Classification | BaseException
    now: float
    utterance: str | None


class CallRecord:
    """What is noted of a call.

    Args:
        method: Of the call.
        arrived: When it began, in seconds of the clock.
        trace: Of the call, if that is sampled.

    Attributes:
        utterances: Those that are counted with the call, since its end may say why there was no answer.
        ended_at: When it ended, in seconds of the clock.
        status: How.
        error: What ended it early, if anything did, as `bare` makes it.
    """

    __slots__ = ("arrived", "ended_at", "error", "method", "status", "trace", "utterances")

    def __init__(self, method: str, arrived: float, trace: CallTrace | None) -> None:
        self.method = method
        self.arrived = arrived
        self.trace = trace
        self.utterances: list[UtteranceEntry] = []
        self.ended_at = arrived
        self.status = ""
        self.error: BaseException | None = None


class Ledger:
    """Keeps what is noted for a short while. To be used on the event loop alone.

    Args:
        figures: Where it is counted.
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
        self._items: list[tuple[CallRecord, UtteranceEntry]] = []
        self._ended: list[CallRecord] = []

    def classified(self, call: CallRecord, entry: UtteranceEntry) -> None:
        """Notes an utterance of a call that goes on."""
        self._items.append((call, entry))
        if len(self._items) >= _MOST:
            self.settle()

    def ended(self, call: CallRecord) -> None:
        """Notes a call, with its utterances. It is not to be changed any more."""
        self._ended.append(call)
        if len(self._ended) >= _MOST:
            self.settle()

    def settle(self) -> None:
        """Counts and traces all that was noted. A fault in that is logged, and harms nobody."""
        items, self._items = self._items, []
        ended, self._ended = self._ended, []
        epoch_s = self._now_s() - self._clock()
        for call, entry in items:  # before the calls, whose spans must end last
            self._settle_utterance(call, entry, epoch_s)
        for call in ended:
            for entry in call.utterances:
                self._settle_utterance(call, entry, epoch_s)
            self._settle_call(call, epoch_s)

    def _settle_utterance(self, call: CallRecord, entry: UtteranceEntry, epoch_s: float) -> None:
        stages, result, now, utterance = entry
        method, trace = call.method, call.trace
        alone = method == UNARY
        try:
            reason = _reason(call, result) if isinstance(result, BaseException) else ""
            point = None if trace is None else trace.classified(utterance, stages, result, reason, now, alone=alone)
            if isinstance(result, BaseException):
                with_call = alone or isinstance(result, CancelledError)
                self._figures.failed(method, now - stages.arrived, reason, result, epoch_s + now, with_call=with_call)
            else:
                self._figures.answered(method, stages, result, epoch_s + now, point)
        except Exception:
            logger.exception("an utterance could not be counted")

    def _settle_call(self, call: CallRecord, epoch_s: float) -> None:
        now, status, error, trace = call.ended_at, call.status, call.error, call.trace
        try:
            reason = "" if error is None else reason_of(error, status)
            point = None if trace is None else trace.ended(status, reason, error, now)
            self._figures.ended(call.method, now - call.arrived, status, reason, error, epoch_s + now, point)
        except Exception:
            logger.exception("a call could not be counted")


def _reason(call: CallRecord, failure: BaseException) -> str:
    """Why an utterance has no answer. What was cut off has the reason of its call."""
    if isinstance(failure, CancelledError) and call.error is not None:
        return reason_of(call.error, call.status)
    return reason_of(failure)
