"""Spans of calls that are sampled: the call's own, one for each utterance of several, and one for each stage."""

import json
import random
import time
from collections.abc import Callable
from itertools import pairwise

from opentelemetry.context import Context, attach
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from intently_server.errors import InternalFault
from intently_server.histogram import TracePoint
from intently_server.model import Model
from intently_server.observer import Metadata
from intently_server.telemetry.figures import (
    OPERATION,
    PROVIDER,
    STAGES,
    call_attributes,
    fields_of,
    reason_of,
    type_of,
)
from intently_server.types import Classification, Stages

# Statuses that tell of a fault of the server, by OpenTelemetry's conventions for gRPC; others are the caller's affair.
SERVER_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}

_TRACE_PARENT = "traceparent"
_TRACE_HEADERS = (_TRACE_PARENT, "tracestate")


class Tracing:
    """Makes the spans of calls.

    Args:
        tracer: Makes each span, unless the caller has decided against it.
        model: What is served.
        address: HOST:PORT that the server listens on.
        sample_ratio: Share of the calls that are traced, of those whose caller has not decided it.
        record_utterances: Whether spans have what users say.
        clock: Monotonic seconds, in which stages are told.
        now_ns: Nanoseconds since 1970.
    """

    def __init__(
        self,
        tracer: Tracer,
        model: Model,
        address: str,
        *,
        sample_ratio: float,
        record_utterances: bool,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.tracer = tracer
        self.record_utterances = record_utterances
        self._sample_ratio = sample_ratio
        self._clock = clock
        self._now_ns = now_ns
        self._propagator = TraceContextTextMapPropagator()
        host, _, port = address.rpartition(":")
        self._server: dict[str, str | int] = {"server.address": host.strip("[]")}
        if int(port):
            self._server["server.port"] = int(port)
        self.span_name = f"{OPERATION} {model.name}"
        self.request = {
            "gen_ai.operation.name": OPERATION,
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": model.name,
        }
        self.response = {"gen_ai.response.model": model.name, "intently.revision": model.revision}

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> "CallTrace | None":
        """Begins the trace of a call, or goes on with its caller's; None for a call that is not sampled.

        The span is the current one of the task from now on, so that the log can name it.
        """
        context = self._caller_context(metadata)
        if context is None:
            # Decided here, before a span is made: most calls are not sampled, and that is to cost nothing.
            if random.random() >= self._sample_ratio:
                return None
            context = Context()
        offset_ns = self._now_ns() - round(self._clock() * 1e9)
        span = self.tracer.start_span(method, context, SpanKind.SERVER, start_time=round(arrived * 1e9) + offset_ns)
        attach(set_span_in_context(span))
        if not span.is_recording():
            return None
        span.set_attributes({**self._server, **_peer(connection)})
        return CallTrace(self, method, span, offset_ns)

    def _caller_context(self, metadata: Metadata) -> Context | None:
        """What the caller tells of its trace; None if it tells nothing that can be read."""
        headers = {key: value for key, value in metadata if key in _TRACE_HEADERS}
        if _TRACE_PARENT not in headers:
            return None
        context = self._propagator.extract(headers, Context())
        return context if get_current_span(context).get_span_context().is_valid else None


class CallTrace:
    """The trace of a call that is sampled.

    Args:
        tracing: Makes its spans.
        method: Of the call.
        span: The call's own.
        offset_ns: Adds to the clock's nanoseconds to give those since 1970; the same for all spans of the call.
    """

    def __init__(self, tracing: Tracing, method: str, span: Span, offset_ns: int) -> None:
        self._tracing = tracing
        self._method = method
        self._span = span
        self._offset_ns = offset_ns

    def classified(
        self,
        utterance: str | None,
        stages: Stages,
        result: Classification | BaseException,
        now: float,
        *,
        alone: bool,
    ) -> TracePoint:
        """Makes the spans of one utterance, beneath the call's own; `alone` if the call has no other.

        Returns:
            The span that tells of the utterance.
        """
        tracing = self._tracing
        now_ns = self._ns(now)
        span = self._span
        if not alone:
            span = tracing.tracer.start_span(
                tracing.span_name, set_span_in_context(span, Context()), start_time=self._ns(stages.arrived)
            )
        failure = result if isinstance(result, BaseException) else None
        self._stages(span, stages, failure, now_ns)
        span.set_attributes(tracing.request)
        if utterance is not None:
            span.set_attribute("gen_ai.input.messages", _messages(utterance))
        if isinstance(result, Classification):
            span.set_attributes(_answer(result))
            span.set_attributes(tracing.response)
        elif not alone:
            reason = reason_of(result)
            span.set_attribute("error.type", reason)
            _fail(span, result, reason, fault=reason == InternalFault.reason)
        if not alone:
            span.end(now_ns)
        return _point(span.get_span_context())

    def ended(self, status: str, error: BaseException | None, now: float) -> TracePoint:
        """Ends the call's own span."""
        span = self._span
        span.set_attributes(call_attributes(self._method, status))
        if error is not None:
            _fail(span, error, reason_of(error, status), fault=status in SERVER_FAULTS)
        if status in SERVER_FAULTS:
            span.set_attribute("error.type", status)
        span.end(self._ns(now))
        return _point(span.get_span_context())

    def _stages(self, parent: Span, stages: Stages, failure: BaseException | None, now_ns: int) -> None:
        """Spans of the stages that were reached; the last of a request that failed ends now."""
        context = set_span_in_context(parent, Context())
        times = (stages.arrived, stages.admitted, stages.encoded, stages.started, stages.inferred, stages.decided)
        for name, (began, ended) in zip(STAGES, pairwise(times), strict=True):
            span = self._tracing.tracer.start_span(name, context, start_time=self._ns(began))
            if not ended:
                if failure is not None:
                    span.set_attribute("error.type", reason_of(failure))
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


def _peer(connection: str) -> dict[str, str | int]:
    """The caller's end of the connection, from gRPC's name for it, such as "ipv4:127.0.0.1:4711"."""
    kind, _, rest = connection.partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return {}
    return {
        "network.peer.address": host.replace("%5B", "").replace("%5D", "").strip("[]"),
        "network.peer.port": int(port),
    }


def _point(context: SpanContext) -> TracePoint:
    return TracePoint(context.trace_id, context.span_id)
