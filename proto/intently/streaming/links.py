"""The links of one stream: at most one that is sent on, and those that only finish what they have in flight."""

from intently.streaming.backoff import Backoff
from intently.streaming.link import Link

_STEADY_S = 5.0  # a link that lasted as long was no failure, even if it had nothing to answer


class Links:
    """Keeps the links that have not ended, and says when to open the next.

    Args:
        backoff: Paces that.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._all: set[Link] = set()
        self._current: Link | None = None
        self._open_at = 0.0

    @property
    def current(self) -> Link | None:
        """The one that is sent on, or will be once the server has opened it."""
        return self._current

    @property
    def connected(self) -> bool:
        """Whether there is one to send on."""
        return self._current is not None and self._current.ready

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return any(link.in_flight for link in self._all)

    @property
    def open_at(self) -> float | None:
        """When another may be opened; None while there is one."""
        return self._open_at if self._current is None else None

    def open(self) -> Link:
        """Another is being opened."""
        self._current = Link()
        self._all.add(self._current)
        return self._current

    def answered(self) -> None:
        """A server has answered an item: all is well."""
        self._backoff.succeeded()

    def leave(self, link: Link, now: float) -> None:
        """Nothing new is sent on a link, because of its server."""
        link.leaving = True
        if link is self._current:
            self._next(link, now, hint_s=0.0)

    def replace(self, link: Link, now: float) -> None:
        """Nothing new is sent on the current link, because of the client: no reason to wait with the next."""
        link.leaving = True
        self._current, self._open_at = None, now

    def leave_all(self) -> None:
        """Nothing new is sent at all."""
        for link in self._all:
            link.leaving = True
        self._current = None

    def remove(self, link: Link, now: float, hint_s: float) -> bool:
        """A link has ended; returns whether it was there. `hint_s` is the least time to wait with the next."""
        if link not in self._all:
            return False
        self._all.remove(link)
        if link is self._current:
            self._next(link, now, hint_s)
        return True

    def _next(self, link: Link, now: float, hint_s: float) -> None:
        if link.ready and now - link.opened_at >= _STEADY_S:
            self._backoff.succeeded()
        self._current, self._open_at = None, now + max(self._backoff.failed(), hint_s)
