"""A collector of OTLP over gRPC: keeps the spans and metrics that it is sent, hangs on request, and can be ended.

Run as a program it takes all and keeps nothing: python -m support.otlp_collector prints its port and runs until killed.
"""

import asyncio
import sys
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
METRICS = "opentelemetry.proto.collector.metrics.v1.MetricsService"


class Collector:
    """Listens on loopback from `start` to `stop`.

    Attributes:
        endpoint: URL for --otlp-endpoint.
        exports: Requests for traces that came.
        resources: Attributes of those who sent traces.
        senders: Attributes of those who sent metrics, one for each request.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.exports = 0
        self.resources: list[dict[str, Any]] = []
        self.senders: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self.metrics: list[dict[str, Any]] = []  # Metric messages of each request, by name
        self._answers = asyncio.Event()
        self._answers.set()
        self._server = grpc.aio.server()

    async def start(self) -> None:
        """Listens on a free port."""
        for service, export in ((TRACES, self._take_traces), (METRICS, self._take_metrics)):
            handler: Any = grpc.unary_unary_rpc_method_handler(export)
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        """Dies: connections end at once."""
        await self._server.stop(None)

    def hang(self) -> None:
        """From now on requests get no answer."""
        self._answers.clear()

    async def wait_spans(self, count: int) -> list[Span]:
        """The spans, once there are so many; a test's own timeout bounds the wait."""
        while len(self.spans) < count:  # noqa: ASYNC110  # spans come when they come
            await asyncio.sleep(0.02)
        return self.spans

    async def wait_exports(self, count: int) -> None:
        """Returns once so many requests came."""
        while self.exports < count:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.02)

    async def _take_traces(self, data: bytes, _context: Any) -> bytes:
        self.exports += 1
        await self._answers.wait()
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            self.resources.append(attributes(resource.resource))
            self.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        return ExportTraceServiceResponse().SerializeToString()

    async def _take_metrics(self, data: bytes, _context: Any) -> bytes:
        request = ExportMetricsServiceRequest.FromString(data)
        scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
        self.senders.extend(attributes(resource.resource) for resource in request.resource_metrics)
        self.metrics.append({metric.name: metric for scope in scopes for metric in scope.metrics})
        return ExportMetricsServiceResponse().SerializeToString()


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or a resource as plain values."""
    return {each.key: _plain(each.value) for each in of.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind)


async def _sink() -> None:
    async def take(_data: bytes, _context: Any) -> bytes:
        return b""

    server = grpc.aio.server()
    for service in (TRACES, METRICS):
        handler: Any = grpc.unary_unary_rpc_method_handler(take)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_sink())
