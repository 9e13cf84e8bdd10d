"""Where the server stands between its start and its end, and who may be answered there."""

import asyncio
import enum
from collections.abc import Iterator
from contextlib import contextmanager

from intently_server.classifier import Classifier
from intently_server.errors import Draining, EngineDead, Starting


class Phase(enum.Enum):
    """A phase of the server's life, in this order; ENGINE_DEAD may follow any of them."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    ENGINE_DEAD = "engine_dead"


class Lifecycle:
    """Hands out the classifier while the server serves, and counts the calls under way."""

    def __init__(self) -> None:
        self._phase = Phase.STARTING
        self._classifier: Classifier | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = asyncio.Event()

    @property
    def phase(self) -> Phase:
        """Where the server stands."""
        return self._phase

    @property
    def calls(self) -> int:
        """Calls and streams under way."""
        return self._calls

    def serve(self, classifier: Classifier) -> None:
        """From now on calls are answered."""
        self._classifier = classifier
        self._phase = Phase.SERVING

    def drain(self) -> None:
        """From now on nothing new is taken."""
        self._phase = Phase.DRAINING
        self.draining.set()

    def engine_died(self) -> None:
        """From now on nothing can be answered."""
        self._phase = Phase.ENGINE_DEAD
        self.draining.set()

    def classifier(self) -> Classifier:
        """The classifier, for a new call.

        Raises:
            Starting, Draining, EngineDead: if there is nobody to answer.
        """
        if self._phase is Phase.ENGINE_DEAD:
            raise EngineDead("the engine has died; this server is ending")
        if self._phase is Phase.DRAINING:
            raise Draining("this server is shutting down")
        if self._classifier is None:
            raise Starting("this server is still loading its model")
        return self._classifier

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call as under way for the length of the block."""
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Returns once no call is under way."""
        await self._idle.wait()
