"""Spans of a call that is sampled: its own, one for each utterance of several, and one for each stage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, StatusCode, Tracer, set_span_in_context

from intently_server.errors import InternalFault
from intently_server.histogram import TracePoint
from intently_server.telemetry.figures import SERVER_FAULTS, STAGES, call_attributes, fields_of, type_of
from intently_server.types import Classification, Stages


@dataclass(frozen=True, slots=True)
class Shared:
    """What the spans of all calls have in common.

    Attributes:
        tracer: Makes each of them.
        utterance: Name of the span of one utterance of several.
        request: Attributes of every utterance.
        response: Those of an answer.
    """

    tracer: Tracer
    utterance: str
    request: Mapping[str, str]
    response: Mapping[str, str]


class CallTrace:
    """The trace of a call that is sampled.

    Args:
        shared: What it has in common with others.
        method: Of the call.
        span: The call's own.
        offset_ns: Adds to the clock's nanoseconds to give those since 1970; the same for all spans of the call.
    """

    def __init__(self, shared: Shared, method: str, span: Span, offset_ns: int) -> None:
        self._shared = shared
        self._method = method
        self._span = span
        self._offset_ns = offset_ns

    def classified(
        self,
        utterance: str | None,
        stages: Stages,
        result: Classification | BaseException,
        reason: str,
        now: float,
        *,
        alone: bool,
    ) -> TracePoint:
        """Makes the spans of one utterance, beneath the call's own; `alone` if the call has no other.

        Args:
            utterance: What was said, if the span is to have it.
            stages: How far it came.
            result: Its answer, or why there is none.
            reason: Of a failure; "" for an answer.
            now: When that was, in seconds of the clock.
            alone: Whether the call has no other.

        Returns:
            The span that tells of the utterance.
        """
        shared = self._shared
        now_ns = self._ns(now)
        span = self._span
        if not alone:
            span = shared.tracer.start_span(
                shared.utterance, set_span_in_context(span, Context()), start_time=self._ns(stages.arrived)
            )
        self._stages(span, stages, reason, now_ns)
        span.set_attributes(shared.request)
        if utterance is not None:
            span.set_attribute("gen_ai.input.messages", _messages(utterance))
        if isinstance(result, Classification):
            span.set_attributes(_answer(result))
            span.set_attributes(shared.response)
        elif not alone:
            span.set_attribute("error.type", reason)
            _fail(span, result, reason, fault=reason == InternalFault.reason)
        if not alone:
            span.end(now_ns)
        return _point(span.get_span_context())

    def ended(self, status: str, reason: str, error: BaseException | None, now: float) -> TracePoint:
        """Ends the call's own span; `reason` is "" without an error."""
        span = self._span
        span.set_attributes(call_attributes(self._method, status))
        if error is not None:
            _fail(span, error, reason, fault=status in SERVER_FAULTS)
        if status in SERVER_FAULTS:
            span.set_attribute("error.type", status)
        span.end(self._ns(now))
        return _point(span.get_span_context())

    def _stages(self, parent: Span, stages: Stages, reason: str, now_ns: int) -> None:
        """Spans of the stages that were reached; the last of a request that failed ends now."""
        context = set_span_in_context(parent, Context())
        times = (stages.arrived, stages.admitted, stages.encoded, stages.started, stages.inferred, stages.decided)
        for name, (began, ended) in zip(STAGES, pairwise(times), strict=True):
            span = self._shared.tracer.start_span(name, context, start_time=self._ns(began))
            if not ended:
                if reason:
                    span.set_attribute("error.type", reason)
                span.end(now_ns)
                break
            span.end(self._ns(ended))

    def _ns(self, seconds: float) -> int:
        return round(seconds * 1e9) + self._offset_ns


def _fail(span: Span, error: BaseException, reason: str, *, fault: bool) -> None:
    """Says why there is no answer, without the error's text: it may hold what others said."""
    fields = fields_of(error)
    span.set_attribute("intently.reason", reason)
    if fields:
        span.set_attribute("intently.fields", fields)
    if reason == InternalFault.reason:
        span.set_attribute("exception.type", type_of(error))
    if fault:
        span.set_status(StatusCode.ERROR, reason)


def _answer(answer: Classification) -> dict[str, str | int | float | bool]:
    decision = answer.decision
    attributes: dict[str, str | int | float | bool] = {
        "gen_ai.usage.input_tokens": answer.input_tokens,
        "gen_ai.usage.cache_read.input_tokens": answer.cached_tokens,
        "intently.outcome": decision.outcome.value,
        "intently.out_of_scope_confidence": decision.out_of_scope_confidence,
        "intently.truncated": answer.truncated,
    }
    if decision.predictions:
        attributes["intently.intent"] = decision.predictions[0].intent
        attributes["intently.confidence"] = decision.predictions[0].confidence
    return attributes


def _messages(utterance: str) -> str:
    """The utterance in the form that OpenTelemetry's conventions give input messages."""
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": utterance}]}], ensure_ascii=False)


def _point(context: SpanContext) -> TracePoint:
    return TracePoint(context.trace_id, context.span_id)
