"""Where all front ends together stand, as they last told."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from intently_server.admission import AdmissionLoad
from intently_server.engine.base import EngineLoad
from intently_server.front_ends.rates import Rates
from intently_server.front_ends.told import Teller, Told
from intently_server.lifecycle import Phase
from intently_server.telemetry import FrontEndVitals

_WAY_DOWN = {Phase.LEAVING, Phase.DRAINING, Phase.STOPPING}


class GatheredVitals:
    """The `Vitals` of all front ends together, as they last told.

    Args:
        places: How many front ends there are.
        max_in_flight: Requests that all take together.
        clock: Monotonic seconds.
    """

    def __init__(self, places: int, max_in_flight: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_in_flight = max_in_flight
        self._places = places
        self._told: Sequence[Told] = ()
        self._front_ends = [FrontEndVitals(place) for place in range(places)]
        self._phase = Phase.STARTING
        self._has_served = False
        self._rates: Rates[Teller] = Rates(clock)
        self._clock = clock
        self._began = clock()

    def take(self, living: Sequence[Teller], dead: Sequence[Teller], answering: "set[Teller]") -> None:
        """From now on this is how things stand.

        Args:
            living: All front ends that run.
            dead: All that did.
            answering: Those of them that have just told how they stand.
        """
        self._told = [each.told for each in living if each.told is not None]
        self._rates.take({each: each.told.requests.requests_per_s for each in living if each.told is not None})
        rows = {each.place: _row(each, each in answering) for each in living}
        alone = [rows.get(place, FrontEndVitals(place)) for place in range(self._places)]
        self._front_ends = [replace(row, cpu_s=_cpu_s(row, dead)) for row in alone]
        stands = [(each.told.phase, each in answering) for each in living if each.told is not None]
        self._phase = self._stand({told for told, answers in stands if self._counts(told, answers)})

    @property
    def uptime_s(self) -> float:
        """See `Vitals.uptime_s`."""
        return self._clock() - self._began

    @property
    def phase(self) -> Phase:
        """STARTING until all serve, then SERVING as long as any does; of the way down the furthest that any has come.

        Whoever comes in place of one that died is STARTING while the others serve; one that hangs serves nobody.
        The engine's death is for ever.
        """
        return self._phase

    @property
    def calls(self) -> int:
        """See `Vitals.calls`."""
        return sum(each.calls for each in self._told)

    def requests(self) -> AdmissionLoad:
        """See `Vitals.requests`."""
        loads = [each.requests for each in self._told]
        return AdmissionLoad(
            in_flight=sum(load.in_flight for load in loads),
            running=sum(load.running for load in loads),
            queued=sum(load.queued for load in loads),
            queued_tokens=sum(load.queued_tokens for load in loads),
            requests_per_s=self._rates.together,
            refused=sum(load.refused for load in loads),
        )

    def engine(self) -> EngineLoad:
        """See `Vitals.engine`: of what it told each, the newest, since it tells one of them at a time."""
        loads = [each.engine for each in self._told]
        return max(loads, key=lambda load: (load.told_at, load.running + load.waiting), default=EngineLoad(0, 0))

    def front_ends(self) -> Sequence[FrontEndVitals]:
        """See `Vitals.front_ends`."""
        return self._front_ends

    def _counts(self, told: Phase, answers: bool) -> bool:
        """Whether it still matters where a front end last said that it stands."""
        return answers or told is not Phase.SERVING or not self._has_served

    def _stand(self, phases: "set[Phase]") -> Phase:
        if self._phase is Phase.ENGINE_DEAD:
            return Phase.ENGINE_DEAD
        if self._has_served:
            phases = phases - {Phase.STARTING}
        elif Phase.STARTING in phases:
            phases = {Phase.STARTING}
        alone = Phase.STOPPING if self._phase in _WAY_DOWN else Phase.STARTING
        now = next((phase for phase in reversed(Phase) if phase in phases), alone)
        self._has_served |= now is Phase.SERVING
        return now


def _row(teller: Teller, answers: bool) -> FrontEndVitals:
    told = teller.told
    if told is None:
        return FrontEndVitals(teller.place, teller.pid, answers)
    return FrontEndVitals(
        place=teller.place,
        pid=teller.pid,
        answers=answers,
        phase=told.phase,
        calls=told.calls,
        in_flight=told.requests.in_flight,
        memory=told.memory,
        cpu_s=told.cpu_s,
    )


def _cpu_s(row: FrontEndVitals, dead: Sequence[Teller]) -> float | None:
    """With what those have used that had the place before: a counter never falls, and never goes away."""
    used = [each.told.cpu_s for each in dead if each.place == row.place and each.told is not None]
    return sum(used, row.cpu_s or 0.0) if used else row.cpu_s
