"""Where the server stands between its start and its end, and who may be answered there."""

import asyncio
import enum
import math
import time
from collections.abc import Callable

from intently_server.classifier import Classifier
from intently_server.errors import Draining, EngineDead, Starting, Unavailable


class Phase(enum.Enum):
    """A phase of the server's life, in this order; ENGINE_DEAD may follow any of them."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"  # not ready any more, but still answering all, until those who send here have noticed
    DRAINING = "draining"  # taking nothing new, finishing what is in flight
    STOPPING = "stopping"  # nothing is in flight any more, or was cut off
    ENGINE_DEAD = "engine_dead"


class Lifecycle:
    """Hands out the classifier while the server serves, and counts the calls under way.

    Args:
        clock: Monotonic seconds.

    Attributes:
        draining: Set once nothing new is taken.
        hurried: Set once what is in flight has less time than was said.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase = Phase.STARTING
        self._classifier: Classifier | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = asyncio.Event()
        self.hurried = asyncio.Event()
        self._last_refusal = -math.inf
        self.grace_s = 0.0

    @property
    def phase(self) -> Phase:
        """Where the server stands."""
        return self._phase

    @property
    def is_over(self) -> bool:
        """Whether the server is being taken apart, with whatever is still under way."""
        return self._phase in {Phase.STOPPING, Phase.ENGINE_DEAD}

    @property
    def calls(self) -> int:
        """Calls and streams under way."""
        return self._calls

    def serve(self, classifier: Classifier) -> None:
        """From now on calls are answered."""
        self._classifier = classifier
        self._phase = Phase.SERVING

    def leave(self) -> None:
        """From now on the server is about to drain, and still answers."""
        self._phase = Phase.LEAVING

    def drain(self, grace_s: float) -> None:
        """From now on nothing new is taken; calls under way have `grace_s` seconds."""
        self._phase = Phase.DRAINING
        self.grace_s = grace_s
        self.draining.set()

    def hurry(self, grace_s: float) -> None:
        """From now on what is in flight has only so long."""
        self.grace_s = grace_s
        self.hurried.set()

    def stop(self) -> None:
        """From now on the server is being taken apart."""
        self._phase = Phase.STOPPING

    def engine_died(self, grace_s: float) -> None:
        """From now on nothing can be answered; calls under way have `grace_s` seconds to hear of it."""
        self._phase = Phase.ENGINE_DEAD
        self.grace_s = grace_s
        self.draining.set()

    def refusal(self) -> Unavailable:
        """Why nothing new is taken, once `draining` is set."""
        if self._phase is Phase.ENGINE_DEAD:
            return EngineDead("the engine has died; this server is ending")
        return Draining("this server is shutting down")

    def classifier(self) -> Classifier:
        """The classifier, for a new call.

        Raises:
            Starting, Draining, EngineDead: if there is nobody to answer.
        """
        if self.draining.is_set():
            raise self.refusal()
        if self._classifier is None:
            raise Starting("this server is still loading its model")
        return self._classifier

    def call_began(self) -> None:
        """Counts a call as under way, until `call_ended`.

        Raises:
            Draining, EngineDead: if nothing new is taken; then it is not counted.
        """
        if self.draining.is_set():
            self._last_refusal = self._clock()
            raise self.refusal()
        self._calls += 1
        self._idle.clear()

    def call_ended(self) -> None:
        """The call's answer has been sent, or nobody waits for it any more."""
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()

    @property
    def quiet_s(self) -> float:
        """Seconds since a call was refused because nothing new is taken."""
        return self._clock() - self._last_refusal

    async def wait_idle(self) -> None:
        """Returns once no call is under way."""
        await self._idle.wait()
