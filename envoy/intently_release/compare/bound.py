"""How many mirrored calls the colors answered differently at least, from what each of them counted by itself.

Nobody sees a call's two answers together: Envoy throws the copy's away. But if both colors answered the same P calls,
and one said "alarm" to 30 of them and the other to 10, they differ on 20 at least. Let s(d) and c(d) be how often each
of them decided d. Of the calls that both answered alike with d there are at most min(s(d), c(d)), so at least
P - sum over d of min(s(d), c(d)) were answered differently: P times the total variation distance where both answered
just these calls. What cancels out is not seen: two intents swapped for each other equally often look the same.

P itself is counted low. Of the N calls that there were, one color answered S and the other C, so both answered at
least S + C - N. Calls that only one of them got (by a pin) are taken off S and C, and N is counted high.
"""

from dataclasses import dataclass

from intently_release.compare.counted import Counted


@dataclass(frozen=True, slots=True)
class Sent:
    """What Envoy sent within a window, each counted high: with all that was under way when it began.

    Attributes:
        calls: Single calls that were routed by weight, all to the stable color, and were mirrored or not; and retries.
        to_stable, to_canary: Single calls that were pinned to one color.
    """

    calls: int
    to_stable: int = 0
    to_canary: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """The least that can be said.

    Attributes:
        both: Calls that both colors answered, at least.
        differ: Of these, calls that they answered differently, at least.
    """

    both: int
    differ: int

    @property
    def share(self) -> float | None:
        """Of calls that both answered; None where there may be none."""
        return self.differ / self.both if self.both else None


def bound_of(sent: Sent, stable: Counted, canary: Counted) -> Bound:
    """See above."""
    of_stable = max(0, stable.singles - sent.to_stable)
    of_canary = max(0, canary.singles - sent.to_canary)
    both = max(0, min(of_stable, of_canary, of_stable + of_canary - sent.calls))
    alike = sum((stable.decisions & canary.decisions).values())
    return Bound(both, max(0, both - alike))
