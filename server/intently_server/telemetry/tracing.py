"""Which calls are traced: as their callers have decided, or a share of them."""

import random
import time
from collections.abc import Callable

from opentelemetry.context import Context, attach
from opentelemetry.trace import SpanKind, Tracer, set_span_in_context

from intently_server.model import Model
from intently_server.observer import Metadata
from intently_server.telemetry.figures import OPERATION, PROVIDER
from intently_server.telemetry.spans import CallTrace, Shared
from intently_server.telemetry.trace_context import CallerTraces


class Tracing:
    """Makes the spans of calls.

    Args:
        tracer: Makes each span, unless the caller has decided against it.
        model: What is served.
        address: HOST:PORT that the server listens on, or unix:PATH.
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
        self.record_utterances = record_utterances
        self._sample_ratio = sample_ratio
        self._clock = clock
        self._now_ns = now_ns
        self._callers = CallerTraces()
        self._server = _own(address)
        self._shared = Shared(
            tracer=tracer,
            utterance=f"{OPERATION} {model.name}",
            request={
                "gen_ai.operation.name": OPERATION,
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.request.model": model.name,
            },
            response={"gen_ai.response.model": model.name, "intently.revision": model.revision},
        )

    def call(self, method: str, metadata: Metadata, connection: str, arrived: float) -> "CallTrace | None":
        """Begins the trace of a call, or goes on with its caller's; None for a call that is not sampled.

        The span is the current one of the task from now on, so that the log can name it.
        """
        context = self._callers.context(metadata)
        if context is None:
            # Decided here, before a span is made: most calls are not sampled, and that is to cost nothing.
            if random.random() >= self._sample_ratio:
                return None
            context = Context()
        offset_ns = self._now_ns() - round(self._clock() * 1e9)
        tracer = self._shared.tracer
        span = tracer.start_span(method, context, SpanKind.SERVER, start_time=round(arrived * 1e9) + offset_ns)
        attach(set_span_in_context(span))
        if not span.is_recording():
            return None
        span.set_attributes({**self._server, **_peer(connection)})
        return CallTrace(self._shared, method, span, offset_ns)


def _own(address: str) -> dict[str, str | int]:
    """The server's end of its connections."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return {"server.address": address.removeprefix("unix:")}
    return {"server.address": host.strip("[]"), **({"server.port": int(port)} if int(port) else {})}


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
