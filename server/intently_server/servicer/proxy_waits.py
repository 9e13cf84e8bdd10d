"""How long calls waited in a proxy before they came to the server, and what is left of their deadlines."""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from intently_server.observer import Metadata

START_METADATA = "x-request-start"
ATTEMPT_METADATA = "x-envoy-attempt-count"
TIMEOUT_METADATA = "x-intently-timeout"
_DRIFT = 5e-5  # seconds in a second, by which two clocks may go apart
_STEP_S = 0.05  # by which this machine's clock was set, and did not just run
_IDLE_S = 0.01  # without a call, after which none waits: those that the server has not seen would have been seen
_FURTHEST_S = 3600.0  # clocks that are further apart, or tell milliseconds, are not believed
_CONNECTIONS = 1024  # that are remembered; of a proxy there are few
_TIMEOUT = re.compile("([0-9]{1,8})([HMSmun])")
_UNIT_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True, slots=True)
class ProxyWait:
    """What a proxy says of a call.

    Attributes:
        seconds: That it waited.
        left_s: Until its deadline; None if there is none, or the proxy does not say.
    """

    seconds: float = 0.0
    left_s: float | None = None


NO_WAIT = ProxyWait()


def of_stream(metadata: Metadata) -> ProxyWait:
    """Until when a stream's caller wants it. How long it waited is nothing to its items, which come by themselves."""
    told = dict(metadata)
    return ProxyWait(left_s=_timeout(told.get(TIMEOUT_METADATA))) if START_METADATA in told else NO_WAIT


class ProxyWaits:
    """Reads since when a proxy has had a call, which it tells by metadata: "t=" and seconds since the epoch.

    The proxy's clock need not agree with this machine's: what a call took that found its connection idle counts as no
    wait, since the proxy had no cause to keep it, and so does what a faster one took. Whoever lies about it, or has no
    such clock, is misjudged alone, unless a proxy lets its callers' own headers through.

    Args:
        wall: Seconds since the epoch.
        clock: Monotonic seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._clock = clock
        self._set_by_s = wall() - clock()
        self._connections: OrderedDict[str, _Connection] = OrderedDict()

    def begin(self, connection: str, metadata: Metadata) -> ProxyWait:
        """A call came by that connection. `end` follows.

        Returns:
            Its wait; none where nobody says, or another try went before, which took its time too. What is left of the
            deadline is told of those as well.
        """
        known = self._connections.get(connection)
        told = {key: value for key, value in metadata if key in {START_METADATA, ATTEMPT_METADATA, TIMEOUT_METADATA}}
        wait = NO_WAIT
        if START_METADATA in told:
            wait = ProxyWait(left_s=_timeout(told.get(TIMEOUT_METADATA)))
            if not connection.startswith("unix:"):  # those share a name
                known = known or self._remember(connection)
                wait = self._wait(known, told) or wait
        if known is not None:
            known.under_way += 1
            self._connections.move_to_end(connection)
        return wait

    def end(self, connection: str) -> None:
        """A call that began has ended."""
        known = self._connections.get(connection)
        if known is not None and known.under_way:
            known.under_way -= 1
            known.idle_since = self._clock()

    def _wait(self, known: "_Connection", told: dict[str, str | bytes]) -> ProxyWait | None:
        """None where the clocks are too far apart to be believed."""
        now = self._clock()
        took_s = self._wall() - _seconds(told[START_METADATA])
        if not abs(took_s) < _FURTHEST_S:
            return None
        self._follow_the_wall(now)
        first_try = told.get(ATTEMPT_METADATA, "1") == "1"
        ago_s = known.waited(took_s, now) if first_try else known.ago(took_s)
        timeout_s = _timeout(told.get(TIMEOUT_METADATA))
        return ProxyWait(ago_s if first_try else 0.0, None if timeout_s is None else timeout_s - ago_s)

    def _follow_the_wall(self, now: float) -> None:
        """Forgets what connections told, once this machine's clock was set."""
        set_by_s = self._wall() - now
        if abs(set_by_s - self._set_by_s) > _STEP_S:
            for each in self._connections.values():
                each.forget()
        self._set_by_s = set_by_s

    def _remember(self, connection: str) -> "_Connection":
        found = self._connections[connection] = _Connection()
        if len(self._connections) > _CONNECTIONS:
            self._connections.popitem(last=False)
        return found


class _Connection:
    """What one tells of the proxy's clock."""

    __slots__ = ("_at", "_least", "idle_since", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.idle_since = -math.inf
        self._least = math.inf  # that a call took which did not wait, by both clocks: it may be negative
        self._at = 0.0

    def waited(self, took_s: float, now: float) -> float:
        """Of a first try. It tells of the clocks as well."""
        if self.under_way or now - self.idle_since < _IDLE_S:
            self._least = min(self._least + _DRIFT * (now - self._at), took_s)
        else:
            self._least = took_s
        self._at = now
        return took_s - self._least

    def ago(self, took_s: float) -> float:
        """When a later try's call came to the proxy, as far as that is known."""
        return max(0.0, took_s - self._least)

    def forget(self) -> None:
        """What it told no longer holds."""
        self._least = math.inf


def _seconds(start: str | bytes) -> float:
    """Since the epoch; nan for what is no such time."""
    try:
        return float(str(start).removeprefix("t="))
    except ValueError:
        return math.nan


def _timeout(text: str | bytes | None) -> float | None:
    """Seconds of a `grpc-timeout`; None for what is none."""
    found = _TIMEOUT.fullmatch(str(text))
    return None if found is None else int(found[1]) * _UNIT_S[found[2]]
