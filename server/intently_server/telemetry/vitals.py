"""What the server has to do at this moment, read where it is known."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from intently_server.admission import Admission, AdmissionLoad
from intently_server.engine.base import Engine, EngineLoad
from intently_server.engine.engine_figures import Figures
from intently_server.lifecycle import Lifecycle, Phase

_NO_ENGINE = EngineLoad(0, 0, -math.inf)  # older than whatever one tells another front end


@dataclass(frozen=True, slots=True)
class FrontEndVitals:
    """What one of several front ends has to do.

    Attributes:
        place: Its number; who comes in its place has the same.
        pid: Of its process; None while there is none.
        answers: Whether it told the rest when it was last asked; if not, it is what it told before.
        phase: Where it stands; None if it has told nothing yet.
        calls: Calls and streams under way.
        in_flight: Requests, waiting ones included.
        memory: Resident, in bytes; None if it has told nothing yet.
        cpu_s: Seconds of CPU that it has used, and those whose place it has; None if none of them has told anything.
    """

    place: int
    pid: int | None = None
    answers: bool = False
    phase: Phase | None = None
    calls: int = 0
    in_flight: int = 0
    memory: int | None = None
    cpu_s: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether it answers, and has come past its start."""
        return self.answers and self.phase not in {None, Phase.STARTING}


class Vitals(Protocol):
    """The server's state."""

    @property
    def max_in_flight(self) -> int:
        """Requests that are taken in all."""
        ...

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        ...

    @property
    def phase(self) -> Phase:
        """Where the server stands."""
        ...

    @property
    def calls(self) -> int:
        """Calls and streams under way."""
        ...

    def requests(self) -> AdmissionLoad:
        """Requests in flight, waiting, running."""
        ...

    def engine(self) -> EngineLoad:
        """What the engine has to do; nothing before it has started."""
        ...

    def front_ends(self) -> Sequence[FrontEndVitals]:
        """Each of several front ends; none where this process is the only one."""
        ...


class OwnVitals:
    """The `Vitals` of a process that answers calls.

    Args:
        lifecycle: Knows the phase and the calls.
        admission: Knows the requests.
        max_in_flight: Requests that it takes in all.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        admission: Admission,
        max_in_flight: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifecycle = lifecycle
        self._admission = admission
        self._engine: Engine | None = None
        self._clock = clock
        self._began = clock()
        self.max_in_flight = max_in_flight

    def watch(self, engine: Engine) -> None:
        """From now on the engine's load is read too."""
        self._engine = engine

    @property
    def uptime_s(self) -> float:
        """See `Vitals.uptime_s`."""
        return self._clock() - self._began

    @property
    def phase(self) -> Phase:
        """See `Vitals.phase`."""
        return self._lifecycle.phase

    @property
    def calls(self) -> int:
        """See `Vitals.calls`."""
        return self._lifecycle.calls

    def requests(self) -> AdmissionLoad:
        """See `Vitals.requests`."""
        return self._admission.load()

    def engine(self) -> EngineLoad:
        """See `Vitals.engine`."""
        return _NO_ENGINE if self._engine is None else self._engine.load()

    def engine_figures(self) -> Figures:
        """What the engine has told of its steps; nothing before it has started."""
        return {} if self._engine is None else self._engine.figures()

    def front_ends(self) -> Sequence[FrontEndVitals]:
        """See `Vitals.front_ends`."""
        return ()
