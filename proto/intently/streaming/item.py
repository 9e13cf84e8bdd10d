"""One item of a stream, from the caller's sending it to the caller's taking its answer."""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from intently.answers import Classification, Turn
from intently.errors import IntentlyError
from intently.v1 import intent_service_pb2 as pb

if TYPE_CHECKING:
    from intently.streaming.link import Link

Result: TypeAlias = Classification | IntentlyError


class Fate(enum.Enum):
    """What becomes of a turn that an item would add to the accumulated context."""

    OPEN = "open"  # the item has no answer yet
    KEPT = "kept"  # it was classified
    DROPPED = "dropped"  # it never will be


@dataclass(slots=True, eq=False, repr=False)
class Said:
    """A turn of the accumulated context.

    Attributes:
        number: Its place among all items of the stream.
        turn: What was said, and by whom.
    """

    number: int
    turn: Turn
    fate: Fate = Fate.OPEN


@dataclass(slots=True, eq=False, repr=False)
class Item:
    """An item that the caller is owed an answer for.

    Attributes:
        message: As it goes over the wire, as often as it must.
        number: Its place among all items of the stream, from 1.
        deadline: When the caller is told that there is no answer, in seconds of the stream's clock.
        said: The turn that it becomes; None where nothing is accumulated, or the item is not final.
        spoken: The accumulated context that it belongs to, all of it; see `Conversation`.
        not_before: When it may be sent, where a server named a time.
        link: Where it is in flight; None while it waits.
        setback: Why it had to wait again, the last time.
        cancelled: Whether the caller took it back.
        result: What the caller gets; None until that is known.
    """

    message: pb.ClassifyItem
    number: int
    deadline: float
    said: Said | None = None
    spoken: list[Said] = field(default_factory=list)
    not_before: float = 0.0
    link: "Link | None" = None
    setback: IntentlyError | None = None
    cancelled: bool = False
    result: Result | None = None

    @property
    def request_id(self) -> str:
        """The caller's name for it."""
        return self.message.request.request_id

    def replaces(self, other: "Item") -> bool:
        """Whether this is a newer revision of the other's utterance."""
        mine, theirs = self.message, other.message
        return bool(mine.utterance_id) and mine.utterance_id == theirs.utterance_id and mine.sequence > theirs.sequence
