"""A target of `intently bench` in Python: one queue, served at a fixed rate."""

import asyncio
import time

from intently.bench.plan import Plan, Share
from intently.bench.tally import Answer
from intently.bench.targets.traffic import ONE_OK


class Queue:
    """Answers in order, so many a second.

    Args:
        per_s: How many.
    """

    def __init__(self, plan: Plan, share: Share, per_s: str) -> None:  # noqa: ARG002  # what every target gets
        self._each_s = 1 / float(per_s)
        self._free_at = 0.0

    async def open(self) -> None:
        """See `Traffic`. What it prints must not get between the lines that its process writes."""
        print("open")  # noqa: T201

    async def call(self, number: int) -> Answer:  # noqa: ARG002  # as above
        """See `Traffic`."""
        self._free_at = max(self._free_at, time.monotonic()) + self._each_s
        await asyncio.sleep(self._free_at - time.monotonic())
        return ONE_OK

    def settle(self) -> tuple[int, int]:
        """See `Traffic`."""
        return 0, 0

    async def close(self) -> None:
        """See `Traffic`."""
