"""How a new bundle takes the traffic over: steps, times, and what makes a canary bad."""

from typing import Literal, Self

from pydantic import Field, model_validator

from intently_release.config.base import Frozen, Percent, Seconds


class Thresholds(Frozen):
    """What makes a canary bad, measured beside the stable color over the same time.

    Attributes:
        min_requests: Of the canary, before anything but its health is judged.
        bad_share, bad_least, bad_times_stable: Calls that ended with a code that tells of a fault (UNKNOWN,
            DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS): bad when over all
            three: share, number, and multiple of stable's share.
        retry_share, retry_least: Retries and calls that overflowed; bad when over both.
        p99_times_stable, p99_least_ms, slow_least: Latency; bad when median or p99 is over both, by so many calls at
            least: of few calls, p99 is the slowest one.
    """

    min_requests: int = Field(50, gt=0)
    bad_share: float = Field(0.01, ge=0, le=1)
    bad_least: int = Field(3, gt=0)
    bad_times_stable: float = Field(2.0, ge=1)
    retry_share: float = Field(0.02, ge=0, le=1)
    retry_least: int = Field(3, gt=0)
    p99_times_stable: float = Field(2.0, ge=1)
    p99_least_ms: float = Field(20.0, ge=0)
    slow_least: int = Field(3, gt=0)


class Releasing(Frozen):
    """How a new bundle takes the traffic over.

    Attributes:
        steps: Percent of new calls that the canary gets, one after the other; the last is 100. Each one before it is
            judged, so there is one at least: at 100 there is no stable color to compare with.
        dwell: Seconds that a step is judged at least.
        patience: Seconds after which a step that saw too few calls is inconclusive.
        poll: Seconds between two looks.
        bake: Seconds after the last step in which the old color is kept ready, and a bad new one is still rolled back.
        old_color: "keep" leaves the old color's servers running, for a rollback within a second, and lets its streams
            move; "stop" drains them.
        stream_patience: Seconds that `deploy` waits for those streams; 0 does not wait. They move all the same.
        no_traffic: What to do with a canary that saw no calls at all: "inconclusive" takes it back, "promote" lets the
            golden requests decide.
        golden_tolerance: Greatest difference of a confidence from the bundle's own; None for what the server lets pass
            when it warms up.
        thresholds: What makes a canary bad.
    """

    steps: tuple[Percent, ...] = (5, 25, 50, 100)
    dwell: Seconds = 10.0
    patience: Seconds = 120.0
    poll: Seconds = 0.5
    bake: float = Field(30.0, ge=0)
    old_color: Literal["keep", "stop"] = "keep"
    stream_patience: float = Field(30.0, ge=0)
    no_traffic: Literal["inconclusive", "promote"] = "inconclusive"
    golden_tolerance: float | None = Field(None, gt=0)
    thresholds: Thresholds = Thresholds()

    @model_validator(mode="after")
    def _steps_rise_to_all(self) -> Self:
        if not self.steps or self.steps[-1] != 100 or list(self.steps) != sorted(set(self.steps)) or self.steps[0] == 0:
            raise ValueError(f"steps must rise from over 0 to 100, not {list(self.steps)}")
        if len(self.steps) < 2:
            raise ValueError(
                "steps must hold a share below 100: the canary is judged there, beside the stable color, before it "
                "gets everything; [50, 100] judges it once"
            )
        return self
