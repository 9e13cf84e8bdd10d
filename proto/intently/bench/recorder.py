"""Counts in one process, by phase, taken away every second; and an interval as it travels to the parent."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intently.bench.histogram import Histogram
from intently.bench.tally import Answer, Tally


class Recorder:
    """Sorts what happens into the warm-up, which is only shown, and what is measured.

    A send belongs to the phase in which it was due, whenever it is answered.

    Args:
        record_from: When the warm-up ends, in seconds of the monotonic clock.
    """

    def __init__(self, record_from: float) -> None:
        self._record_from = record_from
        self._warm_up, self._measured = Tally(), Tally()

    def _phase(self, due: float) -> Tally:
        return self._measured if due >= self._record_from else self._warm_up

    def sent(self, due: float, now: float) -> None:
        """A send of the open loop begins."""
        tally = self._phase(due)
        tally.sent += 1
        tally.lag.record(now - due)

    def sent_at_once(self, now: float) -> None:
        """A send of the closed loop begins: it is due when it is sent."""
        self._phase(now).sent += 1

    def held_back(self, due: float) -> None:
        """A send that is due has to wait for a place."""
        self._phase(due).held_back += 1

    def ended(self, due: float, now: float, answer: Answer) -> None:
        """A send was answered, or failed."""
        self._phase(due).count(answer, now - due)

    def take(self) -> tuple[Tally, Tally]:
        """The warm-up's and the measured counts since it was called last."""
        taken = self._warm_up, self._measured
        self._warm_up, self._measured = Tally(), Tally()
        return taken


class Phase(enum.Enum):
    """When an interval was."""

    WARM_UP = "warm-up"
    WINDOW = "window"  # from the end of the warm-up until sending ended: rates are over this time
    AFTER = "after"  # the last answers come in


@dataclass(slots=True)
class Interval:
    """About a second of one process, or of all.

    Attributes:
        number: Seconds since the warm-up ended; negative before.
        phase: When it was.
        wall_s: How long it was.
        cpu_s: Processor time of the process in it, all threads.
        loop_cpu_s: Processor time of the event loop's thread.
        in_flight: Sends without an answer at its end.
        waiting: Sends that were due and not begun at its end.
        warm_up: Of sends that were due in the warm-up.
        measured: Of the others.
        loop_lag: How late the event loop called back.
    """

    number: int
    phase: Phase
    wall_s: float
    cpu_s: float
    loop_cpu_s: float
    in_flight: int
    waiting: int
    warm_up: Tally
    measured: Tally
    loop_lag: Histogram

    def merge(self, other: "Interval") -> None:
        """Takes in the same second of another process."""
        self.wall_s = max(self.wall_s, other.wall_s)
        self.cpu_s += other.cpu_s
        self.loop_cpu_s += other.loop_cpu_s
        self.in_flight += other.in_flight
        self.waiting += other.waiting
        self.warm_up.add(other.warm_up)
        self.measured.add(other.measured)
        self.loop_lag.add(other.loop_lag)

    @property
    def everything(self) -> Tally:
        """What happened in it, whichever phase the sends belong to."""
        both = Tally()
        both.add(self.warm_up)
        both.add(self.measured)
        return both

    def to_fields(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "number": self.number,
            "phase": self.phase.value,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "loop_cpu_s": self.loop_cpu_s,
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            "warm_up": self.warm_up.to_fields(),
            "measured": self.measured.to_fields(),
            "loop_lag": self.loop_lag.encode(),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Interval":
        """The interval that `to_fields` wrote."""
        return cls(
            **{
                **fields,
                "phase": Phase(fields["phase"]),
                "warm_up": Tally.from_fields(fields["warm_up"]),
                "measured": Tally.from_fields(fields["measured"]),
                "loop_lag": Histogram.decode(fields["loop_lag"]),
            }
        )
