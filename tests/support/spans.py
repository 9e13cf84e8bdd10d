"""Spans as a collector gets them, and the callers that decide over them."""

from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE_ID, CALLER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = (("traceparent", f"00-{TRACE_ID}-{CALLER_SPAN}-01"),)
UNSAMPLED_CALLER = (("traceparent", f"00-{TRACE_ID}-{CALLER_SPAN}-00"),)


def root_of(spans: list[Span]) -> Span:
    """The one span of a call."""
    [root] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    return root


def below(spans: list[Span], parent: Span) -> list[Span]:
    """The spans whose parent this is, in the order in which they began."""
    found = [span for span in spans if span.parent_span_id == parent.span_id]
    return sorted(found, key=lambda span: span.start_time_unix_nano)
