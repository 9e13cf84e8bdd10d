"""How long the first process waits for front ends, and how many it starts in place of others."""

from dataclasses import dataclass

from intently_server.engine.seat import SPARE_SEATS


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the first process waits for front ends, and how many it starts in place of others.

    Attributes:
        looked_at_every_s: How often it is asked whether a front end owes an answer.
        silent_looks: Looks in a row at which it owes the same answer; then it is taken for dead, and killed.
        successors: Front ends that may come in place of others, in all.
    """

    looked_at_every_s: float = 5.0
    silent_looks: int = 3
    successors: int = SPARE_SEATS
