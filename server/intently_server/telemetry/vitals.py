"""What the server has to do at this moment, read where it is known."""

import time
from collections.abc import Callable

from intently_server.admission import Admission, AdmissionLoad
from intently_server.engine.base import Engine, EngineLoad
from intently_server.lifecycle import Lifecycle, Phase


class Vitals:
    """Reads the server's state.

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
        """Seconds since the start."""
        return self._clock() - self._began

    @property
    def phase(self) -> Phase:
        """Where the server stands."""
        return self._lifecycle.phase

    @property
    def calls(self) -> int:
        """Calls and streams under way."""
        return self._lifecycle.calls

    def requests(self) -> AdmissionLoad:
        """Requests in flight, waiting, running."""
        return self._admission.load()

    def engine(self) -> EngineLoad:
        """What the engine has to do; nothing before it has started."""
        return EngineLoad(0, 0) if self._engine is None else self._engine.load()
