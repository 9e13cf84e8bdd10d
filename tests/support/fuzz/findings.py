"""What a fuzz run found, and the file in which each failing case is kept from the moment that it is seen."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.fuzz.case import Case, Volley


@dataclass(frozen=True, slots=True)
class Fault:
    """What should never have come, and the shortest volley that brings it."""

    what: str
    volley: Volley

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(case.size for case in self.volley)

    def to_fields(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"fault": self.what, "volley": [case.to_fields() for case in self.volley]}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Fault":
        """The fault that `to_fields` wrote."""
        return cls(fields["fault"], tuple(Case.from_fields(each) for each in fields["volley"]))


@dataclass(slots=True)
class Findings:
    """What came back.

    Attributes:
        volleys: How often cases were sent.
        cases: Cases by kind.
        statuses: How they ended, "KIND WHAT" each, "METHOD WHAT" of calls; also of items and of requests in batches.
        of_the_core: INTERNAL and UNKNOWN that gRPC's core said by itself, by what it said.
        of_the_client: What the fuzzing client said by itself.
        faults: Of each kind of fault the shortest.
        times: How often each kind of fault came.
    """

    volleys: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    of_the_core: Counter[str] = field(default_factory=Counter)
    of_the_client: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)


class FailureFile:
    """Lines of JSON, one for each failing volley that is shorter than those before; there is no file without one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, fault: Fault, before: Sequence[Volley] = ()) -> None:
        """Appends it. `before` are volleys that were sent shortly before, for what shows only after a moment."""
        earlier = [[case.to_fields() for case in volley] for volley in before]
        with self._path.open("a") as lines:
            lines.write(json.dumps({**fault.to_fields(), "before": earlier}) + "\n")

    def faults(self) -> list[Fault]:
        """All that were kept."""
        return [Fault.from_fields(json.loads(line)) for line in self._path.read_text().splitlines()]
