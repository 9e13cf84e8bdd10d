"""What may be in flight, and what is."""

from dataclasses import dataclass

TRUSTED_SHARE = 0.75  # of the longest wait that may be expected: the rest is for what the estimate cannot know

LEAST_RUNNING = 32
"""Requests that the engine is given whatever its rate, by all who share it together: fewer would starve it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one front end may have in flight. Several that share an engine have each a part of it.

    Attributes:
        max_in_flight: Requests, waiting ones included.
        max_queued_tokens: Tokens of the prompts that wait, without the prefix that all share.
        max_running: Requests inside the engine.
        max_wait_s: Seconds in which an admitted request shall be answered, unless it came late and the engine has room.
        least_running: Requests that the engine is given whatever its rate.
    """

    max_in_flight: int
    max_queued_tokens: int = 1_000_000
    max_running: int = 256
    max_wait_s: float = 1.0
    least_running: int = LEAST_RUNNING


@dataclass(frozen=True, slots=True)
class AdmissionLoad:
    """What is in flight: in all, inside the engine, waiting; the rate of a full engine, None until
    it was full; and how many were refused since the start.
    """

    in_flight: int
    running: int
    queued: int
    queued_tokens: int
    requests_per_s: float | None
    refused: int
