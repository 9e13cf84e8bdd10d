"""What all front ends tell, as the first process shows it: what they counted, and where they stand."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import psutil
from prometheus_client import Metric
from prometheus_client.registry import Collector

from intently_server.admission import AdmissionLoad
from intently_server.engine.base import EngineLoad
from intently_server.engine.engine_figures import Figures as EngineFigures
from intently_server.engine.engine_figures import sum_of_all
from intently_server.engine.vllm_metrics import shown
from intently_server.front_ends.rates import Rates
from intently_server.lifecycle import Phase
from intently_server.model import Model
from intently_server.parts import Parts
from intently_server.settings import Settings
from intently_server.telemetry import FrontEndVitals, Telemetry
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.summing import sum_into

_ANSWERS_WITHIN_S = 0.5
_WAY_DOWN = {Phase.LEAVING, Phase.DRAINING, Phase.STOPPING}


@dataclass(frozen=True, slots=True)
class Told:
    """What a front end tells of itself.

    Attributes:
        figures: All that it has counted.
        engine_figures: All that the engine has told it.
        phase: Where it stands.
        calls: Under way.
        requests: Its own.
        engine: As the engine last told this front end, which may have been long ago.
        memory: Resident, in bytes.
        cpu_s: Seconds of CPU that it has used.
    """

    figures: Figures
    engine_figures: EngineFigures
    phase: Phase
    calls: int
    requests: AdmissionLoad
    engine: EngineLoad
    memory: int
    cpu_s: float

    @classmethod
    def of(cls, parts: Parts) -> "Told":
        """At this moment, of a front end's parts, which are this process's."""
        telemetry, vitals = parts.telemetry, parts.vitals
        telemetry.ledger.settle()
        return cls(
            figures=telemetry.figures,
            engine_figures=vitals.engine_figures(),
            phase=vitals.phase,
            calls=vitals.calls,
            requests=vitals.requests(),
            engine=vitals.engine(),
            memory=psutil.Process().memory_info().rss,
            cpu_s=time.process_time(),
        )


class Teller(Protocol):
    """A front end as far as it is asked. See `FrontEnd`."""

    place: int
    told: Told | None
    ended: "asyncio.Future[int]"

    @property
    def pid(self) -> int: ...
    def ask(self) -> "asyncio.Future[Told]": ...


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


class Gathered:
    """Asks front ends, and keeps what those that have died had told.

    Args:
        settings: Of the whole server.
        model: What is served.

    Attributes:
        telemetry: Of the whole server; its figures are those of the last `refresh`.
    """

    def __init__(self, settings: Settings, model: Model) -> None:
        self._vitals = GatheredVitals(settings.front_ends, settings.max_in_flight)
        self.telemetry = Telemetry(settings, model, self._vitals, os.environ, watches=False)
        self._engine = _EngineMetrics(model.name)
        if self.telemetry.exposition is not None:
            self.telemetry.exposition.show(self._engine)
        self._front_ends: list[Teller] = []
        self._owed: dict[Teller, asyncio.Future[Told]] = {}
        self._asking = asyncio.Lock()

    def watch(self, front_end: Teller) -> None:
        """One more to ask. What it told is counted also after its end."""
        self._front_ends.append(front_end)

    async def refresh(self) -> None:
        """Asks all that live, and adds up; of one that does not answer in time, what it told before."""
        async with self._asking:
            asked = {each: each.ask() for each in self._front_ends if not each.ended.done()}
            # Of one that hangs nobody waits for the same answer twice: probes have a second or so.
            fresh = [answer for each, answer in asked.items() if self._owed.get(each) is not answer]
            if fresh:
                await asyncio.wait(fresh, timeout=_ANSWERS_WITHIN_S)
            self._owed = {each: answer for each, answer in asked.items() if not answer.done()}
            self._add_up({each for each, answer in asked.items() if answer.done() and not answer.cancelled()})

    async def close(self) -> None:
        """Adds up for the last time, and sends what is still to be sent."""
        await self.refresh()
        await self.telemetry.close()

    def _add_up(self, answering: "set[Teller]") -> None:
        living = [each for each in self._front_ends if not each.ended.done()]
        gone = [each for each in self._front_ends if each.ended.done()]
        self._vitals.take(living, gone, answering)
        told = [each.told for each in living if each.told is not None]
        dead = [each.told for each in gone if each.told is not None]
        sum_into(self.telemetry.figures, [each.figures for each in (*told, *dead)])
        self.telemetry.figures.streams = sum(each.figures.streams for each in told)
        self._engine.figures = sum_of_all(
            [each.engine_figures for each in told], [each.engine_figures for each in dead]
        )


class _EngineMetrics(Collector):
    """What the engine has told all front ends, as each of them would show it."""

    def __init__(self, model: str) -> None:
        self.figures: EngineFigures = {}
        self._model = model

    def collect(self) -> Iterator[Metric]:
        figures = self.figures
        if figures:
            yield from shown(self._model, figures)


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
