"""What callers tell of their traces, by W3C Trace Context; and ids for the log where nobody traces a call."""

from opentelemetry.context import Context, attach
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from intently_server.observer import CallObserver, Metadata, Observer

_TRACE_PARENT = "traceparent"
_TRACE_HEADERS = (_TRACE_PARENT, "tracestate")


class CallerTraces:
    """Reads metadata."""

    def __init__(self) -> None:
        self._propagator = TraceContextTextMapPropagator()

    def context(self, metadata: Metadata) -> Context | None:
        """What the caller tells of its trace; None if it tells nothing that can be read."""
        headers = self.headers(metadata)
        return self.context_of(headers) if headers else None

    def headers(self, metadata: Metadata) -> Metadata:
        """What the caller tells of its trace, as it is; nothing for most callers."""
        for key, _ in metadata:
            if key == _TRACE_PARENT:
                return [(key, value) for key, value in metadata if key in _TRACE_HEADERS]
        return ()

    def context_of(self, headers: Metadata) -> Context | None:
        """The same as `context`, of `headers`."""
        context = self._propagator.extract(dict(headers), Context())
        return context if get_current_span(context).get_span_context().is_valid else None


class LogContext:
    """An `Observer` that lets the log name the trace of each call: the caller's, or else one of the call's own.

    Args:
        observer: Told of everything; where it begins a span, that is the one that the log names.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._callers = CallerTraces()
        self._ids = RandomIdGenerator()

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> CallObserver:
        """See `Observer.call`."""
        span = _Unrecorded(self._callers.headers(metadata), self._callers, self._ids)
        attach(set_span_in_context(span, Context()))  # before the observer's own, which then takes its place
        return self._observer.call(method, metadata, connection, arrived)

    def refused(self, method: str, status: str, error: BaseException) -> None:
        """See `Observer.refused`."""
        self._observer.refused(method, status, error)


class _Unrecorded(NonRecordingSpan):
    """A span that nobody records. Its ids are worked out when somebody asks: the log of most calls has no line."""

    def __init__(self, headers: Metadata, callers: CallerTraces, ids: RandomIdGenerator) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self._headers = headers
        self._callers = callers
        self._generator = ids

    def get_span_context(self) -> SpanContext:
        """The caller's, or else one of the call's own; always the same."""
        if not self._context.is_valid:
            own = self._generator
            # At once, since reading the caller's may be worth a line of the log, which asks here again.
            self._context = SpanContext(own.generate_trace_id(), own.generate_span_id(), is_remote=False)
            told = self._callers.context_of(self._headers) if self._headers else None
            if told is not None:
                self._context = get_current_span(told).get_span_context()
        return self._context
