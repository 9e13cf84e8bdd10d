"""One measurement of a run: what of a plan may differ from one to the next while connections stay open."""

import dataclasses
from dataclasses import dataclass

from intently.bench.plan import Plan

STOPPED_WAIT_S = 1.0  # for the answers to what is under way, where a leg is cut short


@dataclass(frozen=True, slots=True)
class Leg:
    """How much load, for how long. See `Plan`, whose fields these are."""

    rate: float | None
    concurrency: int
    warm_up_s: float
    duration_s: float | None
    requests: int | None
    seed: int

    @classmethod
    def first(cls, plan: Plan) -> "Leg":
        """What the plan itself says."""
        return cls(**{field.name: getattr(plan, field.name) for field in dataclasses.fields(cls)})

    def of(self, plan: Plan) -> Plan:
        """The plan with this load."""
        return dataclasses.replace(plan, **dataclasses.asdict(self))
