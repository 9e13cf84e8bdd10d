"""What callers tell of their traces, by W3C Trace Context; and ids for the log where nobody traces a call."""

from opentelemetry.context import Context, attach
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context
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
        for key, _ in metadata:
            if key == _TRACE_PARENT:
                break
        else:
            return None
        headers = {key: value for key, value in metadata if key in _TRACE_HEADERS}
        context = self._propagator.extract(headers, Context())
        return context if get_current_span(context).get_span_context().is_valid else None


class LogContext:
    """An `Observer` that lets the log name the trace of each call: the caller's, or else one of the call's own.

    Args:
        observer: Told of everything; where it has begun a span, that is the one that the log names.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._callers = CallerTraces()
        self._ids = RandomIdGenerator()

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> CallObserver:
        """See `Observer.call`."""
        before = get_current_span()  # of whoever started the server, if anybody
        observed = self._observer.call(method, metadata, connection, arrived)
        if get_current_span() is before:
            attach(self._callers.context(metadata) or self._own())
        return observed

    def refused(self, method: str, status: str, error: BaseException) -> None:
        """See `Observer.refused`."""
        self._observer.refused(method, status, error)

    def _own(self) -> Context:
        """A trace that nobody records."""
        ids = SpanContext(self._ids.generate_trace_id(), self._ids.generate_span_id(), is_remote=False)
        return set_span_in_context(NonRecordingSpan(ids), Context())
