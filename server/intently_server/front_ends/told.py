"""What a front end tells of itself, and whom it is asked of."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import psutil

from intently_server.admission import AdmissionLoad
from intently_server.engine.base import EngineLoad
from intently_server.engine.engine_figures import Figures as EngineFigures
from intently_server.lifecycle import Phase
from intently_server.parts import Parts
from intently_server.telemetry.figures import Figures


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
