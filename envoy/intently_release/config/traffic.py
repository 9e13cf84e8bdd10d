"""How calls are routed: timeouts, retries, stickiness, mirroring, and when a color counts as ill."""

from typing import Self

from pydantic import Field, model_validator

from intently_release.config.base import Frozen, Percent, Seconds


class Health(Frozen):
    """Envoy's own health checks, in seconds and counts, and the ejection of what fails."""

    interval: Seconds = 0.5
    timeout: Seconds = 0.4
    unhealthy_threshold: int = Field(2, gt=0)
    healthy_threshold: int = Field(1, gt=0)
    consecutive_gateway_failures: int = Field(5, gt=0)
    consecutive_5xx: int = Field(20, gt=0)
    consecutive_local_origin_failures: int = Field(3, gt=0)
    base_ejection_time: Seconds = 5
    max_ejection_time: Seconds = 30


class Traffic(Frozen):
    """How calls are routed.

    Attributes:
        timeout: Seconds of a single call, its retries included.
        per_try_timeout: Seconds of one try of it.
        batch_timeout: Seconds of a batch, which is tried on another connection but never cut short to be.
        retries: Further tries of a call that found nobody.
        max_waiting: Calls and batches that wait in Envoy for room at a color's servers, in all; more get UNAVAILABLE at
            once, and cost the servers nothing. What waits here is not being tried: no try of it runs out of time, and
            servers are told since when it waits.
        max_streams: Streams open to one color at once; more get UNAVAILABLE.
        workers: Envoy's threads. Each has one connection for calls to each server, or to each of its front ends.
        max_concurrent_streams: Of one connection to a server; no more than the servers' own. Times `workers`, it is
            how many calls a server has at once: fewer than it answers within `per_try_timeout` and a health check's.
            Of servers with several front ends, of one connection to all of them: each gets its part, rounded up.
        sticky_header: Callers that send the same value stay on their color while the weights stay; None for none.
        mirror_percent: Share of single calls that the canary gets a copy of, whose answers nobody waits for.
    """

    timeout: Seconds = 10
    per_try_timeout: Seconds = 1
    batch_timeout: Seconds = 60
    retries: int = Field(2, ge=0, le=5)
    max_waiting: int = Field(1450, gt=0)
    max_streams: int = Field(100_000, gt=0)
    workers: int = Field(4, gt=0)
    max_concurrent_streams: int = Field(64, gt=0)
    sticky_header: str | None = Field(None, pattern="^[a-z0-9-]+$")
    mirror_percent: Percent = 0
    health: Health = Health()

    @model_validator(mode="after")
    def _a_try_is_shorter_than_the_call(self) -> Self:
        if self.per_try_timeout > self.timeout:
            raise ValueError("per_try_timeout is over timeout: no call would be tried twice")
        return self
