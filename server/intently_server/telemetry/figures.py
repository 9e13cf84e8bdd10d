"""All that is counted of calls and utterances, in plain numbers: whoever exports them reads them here."""

from asyncio import CancelledError
from collections import Counter, deque
from dataclasses import dataclass

from intently_server.errors import IntentlyError, InternalFault, InvalidInput, ItemCancelled, Superseded
from intently_server.histogram import (
    LATENCY_BOUNDS,
    SHARE_BOUNDS,
    Histogram,
    HistogramFamily,
    TracePoint,
)
from intently_server.model import Model
from intently_server.types import Classification, Outcome, Stages

UNARY = "intently.v1.IntentService/Classify"
STREAM = "intently.v1.IntentService/ClassifyStream"
STAGES = ("receive", "tokenize", "queue", "inference", "calibrate")
CANCELLED = "CANCELLED"
# Statuses that tell of a fault of the server, by OpenTelemetry's conventions for gRPC; others are the caller's affair.
SERVER_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}

_DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
_WISHED = {CANCELLED, ItemCancelled.reason, Superseded.reason}  # what the caller wished for is no error

_LAST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """A call or an utterance that failed.

    Attributes:
        time_s: When, in seconds since 1970.
        method: Of the call.
        status: gRPC's, or "" for one of several utterances of a call that goes on.
        reason: Of the error.
        fields: Of the request that are wrong.
        exception: Type of a fault of ours.
    """

    time_s: float
    method: str
    status: str
    reason: str
    fields: tuple[str, ...] = ()
    exception: str = ""


class Figures:
    """Counts.

    Args:
        model: Whose intents are predicted.
    """

    def __init__(self, model: Model) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()  # by method, status, reason
        self.utterances: Counter[tuple[str, str, str]] = Counter()  # by method, outcome or "error", reason
        self.predictions: Counter[tuple[str, str]] = Counter()  # by intent, outcome
        self.input_tokens = 0
        self.cached_tokens = 0
        self.streams = 0
        self.failures: deque[Failure] = deque(maxlen=_LAST_ERRORS)
        self.call_duration = HistogramFamily(
            "rpc.server.call.duration", "s", "From a call's first message to its status.", LATENCY_BOUNDS
        )
        self.request_duration = HistogramFamily(
            "gen_ai.server.request.duration", "s", "From an utterance's arrival to its answer.", LATENCY_BOUNDS
        )
        self.stage_duration = HistogramFamily(
            "intently.server.stage.duration", "s", "One stage of an answered utterance.", LATENCY_BOUNDS
        )
        self.confidence = HistogramFamily(
            "intently.server.confidence", "1", "Confidence of the best intent of an answer.", SHARE_BOUNDS
        )
        self.cached_share = HistogramFamily(
            "intently.server.cached_token_share", "1", "Share of a prompt that the prefix cache had.", SHARE_BOUNDS
        )
        revision = {"intently.revision": model.revision}
        self._request_attributes = {
            "gen_ai.operation.name": OPERATION,
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": model.name,
            **revision,
        }
        self.answer_duration = self.request_duration.member(self._request_attributes)
        self._stages = [self.stage_duration.member({"intently.stage": name, **revision}) for name in STAGES]
        # With the text of each outcome, which enum takes its time to look up.
        self._outcomes = {
            outcome: (outcome.value, self.confidence.member({"intently.outcome": outcome.value, **revision}))
            for outcome in Outcome
        }
        self._cached_share = self.cached_share.member(revision)
        self._durations: dict[tuple[str, str], Histogram] = {}

    def histograms(self) -> tuple[HistogramFamily, ...]:
        """All of them."""
        return (self.call_duration, self.request_duration, self.stage_duration, self.confidence, self.cached_share)

    def stage(self, name: str) -> Histogram:
        """The histogram of one of STAGES."""
        return self._stages[STAGES.index(name)]

    def ended(
        self,
        method: str,
        seconds: float,
        status: str,
        reason: str,
        error: BaseException | None,
        time_s: float,
        point: TracePoint | None,
    ) -> None:
        """A call ended, `time_s` seconds after 1970 began; `reason` is "" if all is well."""
        self.calls[method, status, reason] += 1
        histogram = self._durations.get((method, status))
        if histogram is None:
            attributes = call_attributes(method, status) | ({"error.type": status} if status in SERVER_FAULTS else {})
            histogram = self._durations[method, status] = self.call_duration.member(attributes)
        histogram.record(seconds)
        if point is not None:
            histogram.exemplify(seconds, time_s, point)
        if error is not None and reason not in _WISHED:
            self._keep(method, status, reason, error, time_s)

    def answered(
        self, method: str, stages: Stages, answer: Classification, time_s: float, point: TracePoint | None
    ) -> None:
        """An utterance was answered."""
        decision, tokens, seconds = answer.decision, answer.input_tokens, stages.decided - stages.arrived
        outcome, confidence = self._outcomes[decision.outcome]
        self.utterances[method, outcome, ""] += 1
        self.input_tokens += tokens
        self.cached_tokens += answer.cached_tokens
        self.answer_duration.record(seconds)
        receive, tokenize, queue, inference, calibrate = self._stages
        receive.record(stages.admitted - stages.arrived)
        tokenize.record(stages.encoded - stages.admitted)
        queue.record(stages.started - stages.encoded)
        inference.record(stages.inferred - stages.started)
        calibrate.record(stages.decided - stages.inferred)
        self._cached_share.record(answer.cached_tokens / tokens)
        best = decision.predictions[0] if decision.predictions else None
        if outcome == OUT_OF_SCOPE:
            self.predictions[OUT_OF_SCOPE, outcome] += 1
        elif best is not None:
            self.predictions[best.intent, outcome] += 1
        if best is not None:
            confidence.record(best.confidence)
        if point is not None:
            self.answer_duration.exemplify(seconds, time_s, point)
            inference.exemplify(stages.inferred - stages.started, time_s, point)
            queue.exemplify(stages.started - stages.encoded, time_s, point)

    def failed(
        self, method: str, seconds: float, reason: str, error: BaseException, time_s: float, *, with_call: bool
    ) -> None:
        """An utterance was not answered; `with_call` if its call failed with it."""
        self.utterances[method, "error", reason] += 1
        self.request_duration.member({**self._request_attributes, "error.type": reason}).record(seconds)
        if not with_call and reason not in _WISHED:
            self._keep(method, "", reason, error, time_s)

    def _keep(self, method: str, status: str, reason: str, error: BaseException, time_s: float) -> None:
        ours = reason == InternalFault.reason and not isinstance(error, IntentlyError)
        exception = type_of(error) if ours else ""
        self.failures.append(Failure(time_s, method, status, reason, fields_of(error), exception))


OPERATION = "classify"
PROVIDER = "intently"
OUT_OF_SCOPE = "out_of_scope"


def call_attributes(method: str, status: str) -> dict[str, str]:
    """What a call is told by, by OpenTelemetry's conventions for RPC."""
    return {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": status}


def reason_of(error: BaseException, status: str = "") -> str:
    """Why there is no answer: a reason of errors.py; or the status of a call that was cut off.

    That is CANCELLED where the caller went away, DEADLINE_EXCEEDED where its deadline passed.
    """
    if isinstance(error, IntentlyError):
        return error.reason
    cut = isinstance(error, CancelledError) or status in {CANCELLED, _DEADLINE_EXCEEDED}
    return status or CANCELLED if cut else InternalFault.reason


def fields_of(error: BaseException) -> tuple[str, ...]:
    """The fields of the request that are wrong. Their paths hold nothing that a user said."""
    return tuple(violation.field for violation in error.violations) if isinstance(error, InvalidInput) else ()


def type_of(error: BaseException) -> str:
    """The full name of its class."""
    return f"{type(error).__module__}.{type(error).__qualname__}"
