"""What the client knows of one ClassifyStream call, and what it can be told to send there."""

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from intently.streaming.conversation import MAX_TURNS
from intently.streaming.item import Fate, Item, Said


@dataclass(slots=True, eq=False, repr=False)
class Link:
    """One call.

    Attributes:
        grant: Items that may be in flight on it; 0 until the server has opened it.
        opened_at: When the server did, in seconds of the stream's clock.
        leaving: Whether nothing new is sent on it.
        closed: Whether the client has half-closed it.
        in_flight: What was sent on it and not answered on it, by request id.
        to_cancel: Ids of those in flight that the server is to drop.
        context: What the server has accumulated on it, in order; the newest `turns` of it count.
        turns: How many turns the server keeps, as far as known.
    """

    grant: int = 0
    opened_at: float = 0.0
    leaving: bool = False
    closed: bool = False
    in_flight: dict[str, Item] = field(default_factory=dict)
    to_cancel: deque[str] = field(default_factory=deque)
    context: list[Said] = field(default_factory=list)
    turns: int = MAX_TURNS

    @property
    def ready(self) -> bool:
        """Whether the server has opened it."""
        return self.grant > 0

    @property
    def turn_under_way(self) -> bool:
        """Whether an item in flight on it becomes a turn of the context if it is classified."""
        return any(item.said is not None for item in self.in_flight.values())

    def remember(self, said: Said) -> None:
        """The server's context has grown by a turn."""
        if len(self.context) >= 4 * MAX_TURNS:
            del self.context[: -2 * MAX_TURNS]
        self.context.append(said)

    def forget(self, said: Said | None) -> None:
        """The server has refused an item: what it said is no turn there."""
        if said is not None and said in self.context:
            self.context.remove(said)

    def newest_context(self) -> list[Said]:
        """The newest turns of the server's context."""
        return [said for said in self.context if said.fate is not Fate.DROPPED][-self.turns :] if self.turns else []


@dataclass(frozen=True, slots=True)
class Send:
    """Send an item."""

    item: Item


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Tell the server to drop an item."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Tell the server to forget the accumulated context."""


@dataclass(frozen=True, slots=True)
class Close:
    """Half-close: nothing more is sent on this link."""


Message: TypeAlias = Send | TakeBack | Forget | Close
