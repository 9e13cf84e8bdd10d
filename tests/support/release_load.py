"""The load of the release benchmarks: `intently bench`, in several processes, until it is told to stop."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from support.load import Load, Measured

_TIMEOUT_S = 15.0
_BATCH = 8
# Unanswered at once, of each kind; more wait. Where others have the machine for a while, callers wait for answers as
# people do, and do not bury the servers under all that was due meanwhile.
_MOST_CALLS, _MOST_BATCHES, _MOST_ITEMS = 32, 4, 1024
_KEPT_UP = 0.9  # share of what was to be sent; where less was, callers waited for answers


@dataclass(frozen=True, slots=True)
class Rates:
    """Sends a second, evenly spread as long as answers keep up with them. What is 0 is not sent.

    Attributes:
        bare: Single calls by gRPC alone, which retries nothing.
        calls: Single calls that are retried as the client library does it.
        batches: Batches of eight utterances, retried likewise.
        items: On all streams together, which are the client library's.
        streams: That stay open.
        wait_s: How long to wait for somebody to connect to.
    """

    bare: float = 0.0
    calls: float = 0.0
    batches: float = 0.0
    items: float = 0.0
    streams: int = 20
    wait_s: float = 30.0

    def flags(self) -> dict[str, tuple[str, ...]]:
        """Of one run of `intently bench` for each kind: "bare", "call", "batch" and "item"."""
        batches = ("--retry", "--shape", "batch", "--batch-size", str(_BATCH))
        kinds = {
            "bare": (self.bare, _MOST_CALLS, ()),
            "call": (self.calls, _MOST_CALLS, ("--retry",)),
            "batch": (self.batches, _MOST_BATCHES, batches),
            "item": (self.items, _MOST_ITEMS, ("--shape", "stream", "--streams", str(self.streams))),
        }
        constant = ("--arrivals", "constant", "--timeout", f"{_TIMEOUT_S:g}s", "--wait", f"{self.wait_s:g}s")
        return {
            kind: ("--rate", f"{rate:g}", *constant, "--max-outstanding", str(most), *flags)
            for kind, (rate, most, flags) in kinds.items()
            if rate
        }


class ReleaseLoad:
    """Sends at these rates, and counts what came of it.

    Args:
        address: HOST:PORT of what stands before the servers.
        rates: How much of what.

    Attributes:
        measured: Once it is over, what each kind's run measured; kinds are those of `Rates.flags`.
    """

    def __init__(self, address: str, rates: Rates) -> None:
        self._address = address
        self._rates = rates
        self.measured: dict[str, Measured] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enters the block once each kind has been sent for about a second; ends with it, when all is answered.

        Kinds begin one after the other: processes that start all at once would leave the servers no time to answer.

        Raises:
            RuntimeError: if a run ends before; the text is what it said.
        """
        loads: dict[str, Load] = {}
        try:
            for kind, flags in self._rates.flags().items():
                loads[kind] = Load(self._address, None, flags)
                await asyncio.to_thread(loads[kind].wait_begun)
            yield
        finally:
            for load in loads.values():
                load.stop()
            for kind, load in loads.items():
                self.measured[kind] = await asyncio.to_thread(load.result)

    @property
    def answered(self) -> Counter[str]:
        """Sends that were answered, by kind: a batch is one."""
        return Counter({kind: run.report["total"]["latency"]["count"] for kind, run in self.measured.items()})

    @property
    def failed(self) -> int:
        """How many did not get their one good answer: see `Measured.failures`."""
        return sum(number for run in self.measured.values() for number in run.failures.values())

    @property
    def kept_up(self) -> bool:
        """Whether of each kind nearly all was sent that was to be: answers came as quickly as calls."""
        runs = self.measured.values()
        return all(run.asked_per_s is None or run.sent_per_s >= _KEPT_UP * run.asked_per_s for run in runs)

    @property
    def failures(self) -> list[str]:
        """The same in words, a line for each kind of load and of failure."""
        return [
            f"{kind}: {number} {what}" for kind, run in self.measured.items() for what, number in run.failures.items()
        ]

    def brief(self) -> dict[str, Any]:
        """What people read of each run, but for the generator's limits: they add latency, and no failures."""
        briefs = {kind: run.brief() for kind, run in self.measured.items()}
        for brief in briefs.values():
            del brief["limited_by_generator"]
        return briefs
