"""Spans, taken from an exporter in memory: what is sampled, and what a call's spans tell of how far it came."""

import asyncio
import random

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import StatusCode

from intently_server.bundle import Bundle
from intently_server.errors import EngineDead, InvalidInput, Overloaded, Violation
from intently_server.telemetry.figures import reason_of
from intently_server.telemetry.spans import CallTrace
from intently_server.telemetry.tracing import Tracing
from intently_server.types import Classification, Decision, Outcome, Prediction, Stages

METHOD = "intently.v1.IntentService/Classify"
ANSWER = Classification(Decision(Outcome.MATCHED, (Prediction("alarm", 0.9, 3.0),), 0.1), 200, 150, truncated=False)
STAGES = Stages(arrived=10.0, admitted=10.001, encoded=10.003, started=10.006, inferred=10.016, decided=10.017)
EPOCH_NS = 1_700_000_000 * 10**9  # when the clock said 0


class Traced:
    """A tracer whose spans are kept."""

    def __init__(self, bundle: Bundle, sample_ratio: float = 1.0, address: str = "127.0.0.1:4711") -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(
            provider.get_tracer("test"),
            bundle.model,
            address,
            sample_ratio=sample_ratio,
            record_utterances=False,
            clock=lambda: 10.0,
            now_ns=lambda: EPOCH_NS + 10 * 10**9,
        )

    def call(self, connection: str = "ipv4:10.1.2.3:5", **metadata: str) -> CallTrace:
        """Begins a call that is sampled."""
        trace = self.tracing.call(METHOD, tuple(metadata.items()), connection, 10.0)
        assert trace is not None
        return trace

    def spans(self) -> dict[str, ReadableSpan]:
        """All that ended, by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def traced(bundle: Bundle) -> Traced:
    """A tracer that samples all."""
    return Traced(bundle)


def told(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_moments_of_the_clock_become_moments_since_1970(traced: Traced) -> None:
    trace = traced.call()
    trace.classified(None, STAGES, ANSWER, "", 10.017, alone=True)
    trace.ended("OK", "", None, 10.018)

    spans = traced.spans()
    assert spans[METHOD].start_time == EPOCH_NS + 10_000_000_000
    assert spans[METHOD].end_time == EPOCH_NS + 10_018_000_000
    assert spans["inference"].start_time == EPOCH_NS + 10_006_000_000
    assert spans["inference"].end_time == EPOCH_NS + 10_016_000_000


@pytest.mark.parametrize(
    ("stages", "reached"),
    [
        (Stages(10.0), ["receive"]),
        (Stages(10.0, 10.1), ["receive", "tokenize"]),
        (Stages(10.0, 10.1, 10.2), ["receive", "tokenize", "queue"]),
        (Stages(10.0, 10.1, 10.2, 10.3), ["receive", "tokenize", "queue", "inference"]),
        (Stages(10.0, 10.1, 10.2, 10.3, 10.4), ["receive", "tokenize", "queue", "inference", "calibrate"]),
    ],
)
def test_the_stage_that_failed_is_the_last_and_says_why(traced: Traced, stages: Stages, reached: list[str]) -> None:
    trace = traced.call()
    trace.classified(None, stages, asyncio.CancelledError(), "CANCELLED", 10.5, alone=True)
    trace.ended("CANCELLED", "CANCELLED", asyncio.CancelledError(), 10.6)

    spans = traced.spans()
    assert list(spans) == [*reached, METHOD]
    assert [name for name in reached if told(spans[name])] == reached[-1:]
    assert told(spans[reached[-1]]) == {"error.type": "CANCELLED"}
    assert spans[reached[-1]].end_time == EPOCH_NS + 10_500_000_000
    assert spans[METHOD].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [
        (Overloaded("full", 0.1), "RESOURCE_EXHAUSTED", False),
        (EngineDead("dead"), "UNAVAILABLE", True),
        (RuntimeError("what a user said"), "INTERNAL", True),
    ],
)
def test_only_faults_of_the_server_are_errors_of_the_span(
    traced: Traced, error: Exception, status: str, fault: bool
) -> None:
    traced.call().ended(status, reason_of(error, status), error, 11.0)

    span = traced.spans()[METHOD]
    assert (span.status.status_code is StatusCode.ERROR) == fault
    assert told(span).get("error.type") == (status if fault else None)
    assert str(error) not in span.to_json()
    assert not span.events


def test_wrong_fields_are_named(traced: Traced) -> None:
    error = InvalidInput([Violation("text", "is empty"), Violation("top_k", "is -1")])
    traced.call().ended("INVALID_ARGUMENT", "INVALID_INPUT", error, 11.0)

    assert told(traced.spans()[METHOD])["intently.fields"] == ("text", "top_k")


@pytest.mark.parametrize(
    ("connection", "peer"),
    [
        ("ipv4:10.1.2.3:5", ("10.1.2.3", 5)),
        ("ipv6:[::1]:5", ("::1", 5)),
        ("ipv6:%5B::1%5D:5", ("::1", 5)),
        ("unix:", (None, None)),  # what gRPC calls all peers of a unix socket
        ("", (None, None)),
    ],
)
def test_the_callers_end_of_the_connection(
    traced: Traced, connection: str, peer: tuple[str | None, int | None]
) -> None:
    traced.call(connection).ended("OK", "", None, 11.0)

    attributes = told(traced.spans()[METHOD])
    assert (attributes.get("network.peer.address"), attributes.get("network.peer.port")) == peer
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", 4711)


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("[::1]:5", ("::1", 5)),
        ("localhost:0", ("localhost", None)),
        ("unix:/run/a.sock", ("/run/a.sock", None)),
        ("unix-abstract:a", ("unix-abstract:a", None)),
    ],
)
def test_the_server_s_end_of_the_connection(bundle: Bundle, address: str, own: tuple[str, int | None]) -> None:
    traced = Traced(bundle, address=address)
    traced.call().ended("OK", "", None, 11.0)

    attributes = told(traced.spans()[METHOD])
    assert (attributes["server.address"], attributes.get("server.port")) == own


def test_the_share_that_is_sampled(bundle: Bundle) -> None:
    traced = Traced(bundle, sample_ratio=0.2)
    random.seed(1)
    sampled = sum(traced.tracing.call(METHOD, (), "", 10.0) is not None for _ in range(2000))

    assert sampled == pytest.approx(400, abs=80)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True)])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_caller_decides_for_its_calls(bundle: Bundle, flags: str, sampled: bool, ratio: float) -> None:
    header = f"00-{'1' * 32}-{'2' * 16}-{flags}"
    trace = Traced(bundle, ratio).tracing.call(METHOD, (("traceparent", header),), "", 10.0)

    assert (trace is not None) == sampled


def test_the_callers_trace_state_is_passed_on(traced: Traced) -> None:
    traced.call(traceparent=f"00-{'1' * 32}-{'2' * 16}-01", tracestate="vendor=value").ended("OK", "", None, 11.0)

    context = traced.spans()[METHOD].get_span_context()
    assert context is not None
    assert context.trace_state == {"vendor": "value"}
