"""What was counted: of a phase in one interval of one process, and, added up, of a whole run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from intently.bench.histogram import Histogram

OK = "OK"
Label = tuple[str, str]  # a status and the reason of its ErrorInfo, "" where there is none


@dataclass(frozen=True, slots=True)
class Answer:
    """How one send ended.

    Attributes:
        ok: Whether the call itself, or the item of a stream, got its answer.
        items: Utterances by how they ended: one, or as many as a batch has.
        outcomes: What the server decided, where the response was looked into.
    """

    ok: bool
    items: tuple[tuple[Label, int], ...]
    outcomes: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts that can be added up.

    Attributes:
        sent: Sends begun.
        held_back: Sends that waited because too many were unanswered.
        items: Utterances by how they ended.
        outcomes: What the server decided, in a sample of the answers.
        latency: Of sends that were answered, from when they were due, or sent in a closed loop.
        failed: The same of sends that failed.
        lag: How long after it was due each send began; that of those held back too. Open loop only.
    """

    sent: int = 0
    held_back: int = 0
    items: Counter[Label] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    failed: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)

    def count(self, answer: Answer, latency_s: float) -> None:
        """Counts a send that has ended."""
        (self.latency if answer.ok else self.failed).record(latency_s)
        for label, number in answer.items:
            self.items[label] += number
        for outcome in answer.outcomes:
            self.outcomes[outcome] += 1

    def add(self, other: "Tally") -> None:
        """Adds all that `other` counted."""
        self.sent += other.sent
        self.held_back += other.held_back
        self.items.update(other.items)
        self.outcomes.update(other.outcomes)
        self.latency.add(other.latency)
        self.failed.add(other.failed)
        self.lag.add(other.lag)

    @property
    def answered(self) -> int:
        """Utterances that were answered."""
        return sum(number for (status, _), number in self.items.items() if status == OK)

    @property
    def errors(self) -> int:
        """Utterances that ended otherwise."""
        return sum(self.items.values()) - self.answered

    def to_fields(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "sent": self.sent,
            "held_back": self.held_back,
            "items": [[status, reason, number] for (status, reason), number in self.items.items()],
            "outcomes": dict(self.outcomes),
            "latency": self.latency.encode(),
            "failed": self.failed.encode(),
            "lag": self.lag.encode(),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Tally":
        """The tally that `to_fields` wrote."""
        return cls(
            sent=fields["sent"],
            held_back=fields["held_back"],
            items=Counter({(status, reason): number for status, reason, number in fields["items"]}),
            outcomes=Counter(fields["outcomes"]),
            latency=Histogram.decode(fields["latency"]),
            failed=Histogram.decode(fields["failed"]),
            lag=Histogram.decode(fields["lag"]),
        )
