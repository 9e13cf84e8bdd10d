"""How long the first process waits for front ends, and how many it starts in place of others."""

from dataclasses import dataclass

from intently_server.engine.seat import SPARE_SEATS


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the first process waits for front ends, and how many it starts in place of others.

    Attributes:
        looked_at_every_s: How often it is asked whether a front end owes an answer.
        silent_looks: Looks in a row at which it owes the same answer; then it is taken for dead, and killed.
        starts_within_s: How long one that comes in place of another may take until it is ready; then it is killed.
        engine_ends_within_s: How long an engine may live that a front end has said is dead. vLLM's tells that for 5 s.
        successors: Front ends that may come in place of others, in all.
    """

    looked_at_every_s: float = 5.0
    silent_looks: int = 3
    starts_within_s: float = 900.0
    engine_ends_within_s: float = 8.0
    successors: int = SPARE_SEATS
