"""Settings: what the server tells of itself."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

_LAST_PORT = 65_535


def _with_a_port(address: str) -> str:
    """An address whose port exists."""
    if address and int(address.rpartition(":")[2]) > _LAST_PORT:
        raise ValueError(f"the port of {address} is beyond {_LAST_PORT}")
    return address


def _without_credentials(url: str | None) -> str | None:
    """A URL that may be shown: libraries log it, whatever it holds."""
    if url is not None and "@" in url:
        raise ValueError(
            "a URL with a user or password would stand in logs; send credentials as a header, in the variable "
            "OTEL_EXPORTER_OTLP_HEADERS"
        )
    return url


class TelemetrySettings(BaseModel):
    """What the server tells of itself."""

    admin_address: Annotated[
        str,
        Field(
            pattern=r"^(|.+:\d+)$",
            description="HOST:PORT for people and probes, over HTTP: /statusz, /metrics, /readyz, /healthz. Port 0 "
            "takes a free one, which the log and the ready file name; an empty text closes it.",
        ),
        AfterValidator(_with_a_port),
    ] = "127.0.0.1:0"
    metrics: Annotated[bool, Field(description="Serve /metrics on the admin port.")] = True
    otlp_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="URL of an OpenTelemetry collector that takes OTLP over gRPC, such as http://localhost:4317; "
            "traces are sent there. The variable OTEL_EXPORTER_OTLP_ENDPOINT does the same.",
        ),
        AfterValidator(_without_credentials),
    ] = None
    otlp_metrics: Annotated[bool, Field(description="Send metrics to that collector too.")] = False
    trace_sample_ratio: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the calls that are traced, of those whose caller has not decided it."),
    ] = 0.01
    record_utterances: Annotated[
        bool,
        Field(
            description="Put what users say into traces, and log faults of the server with their texts, which may "
            "quote it. Both are marked."
        ),
    ] = False
    load_reports: Annotated[
        bool,
        Field(description="Send an ORCA load report in the trailers of every answer, for balancers that weigh by it."),
    ] = False

    @property
    def keeps_engine_metrics(self) -> bool:
        """Whether vLLM's metrics are kept: where the admin port shows them."""
        return self.metrics and self.admin_address != ""
