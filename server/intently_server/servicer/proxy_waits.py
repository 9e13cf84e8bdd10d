"""How long calls waited in a proxy before they came to the server."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from intently_server.observer import Metadata

START_METADATA = "x-request-start"
ATTEMPT_METADATA = "x-envoy-attempt-count"
_MEMORY_S = 300.0  # after which the fastest of a connection's calls is forgotten, one such later
_CONNECTIONS = 1024  # that are remembered; of a proxy there are few


class ProxyWaits:
    """Reads since when a proxy has had a call, which it tells by metadata: "t=" and seconds since the epoch.

    The proxy's clock need not agree with this machine's: what the fastest of a connection's calls of late took counts
    as no wait. So whoever lies about it, or has no such clock, is misjudged alone.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._fastest: OrderedDict[str, _Fastest] = OrderedDict()

    def of(self, connection: str, metadata: Metadata) -> float:
        """Seconds that a call waited; 0.0 where nobody says, or another try went before, which took its time too."""
        start = attempt = None
        for key, value in metadata:
            if key == START_METADATA:
                start = value
            elif key == ATTEMPT_METADATA:
                attempt = value
        if start is None or attempt not in {None, "1"}:
            return 0.0
        try:
            began = float(str(start).removeprefix("t="))
        except ValueError:
            return 0.0
        now = self._wall()
        return now - began - self._of(connection, now).least(now - began, now) if math.isfinite(began) else 0.0

    def _of(self, connection: str, now: float) -> "_Fastest":
        found = self._fastest.get(connection)
        if found is None:
            found = self._fastest[connection] = _Fastest(now)
            if len(self._fastest) > _CONNECTIONS:
                self._fastest.popitem(last=False)
        else:
            self._fastest.move_to_end(connection)
        return found


class _Fastest:
    """The least of what it was told in this span of time and in the one before."""

    __slots__ = ("_before", "_now", "_since")

    def __init__(self, now: float) -> None:
        self._before = self._now = math.inf
        self._since = now

    def least(self, took_s: float, now: float) -> float:
        if now - self._since > _MEMORY_S:
            self._before, self._now, self._since = self._now, math.inf, now
        self._now = min(self._now, took_s)
        return min(self._before, self._now)
