"""What one case is: bytes to send, and how they are written down so that they can be sent again."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Kind(enum.Enum):
    """What is wrong with a case, if anything is."""

    MESSAGE = "message"  # the one message of a call
    CONVERSATION = "conversation"  # the messages of a stream, and their order
    FRAMING = "framing"  # lengths, flags and encodings of messages, and how DATA frames split them
    METADATA = "metadata"  # headers of a call
    HTTP2 = "http2"  # frames: types, flags, streams, sizes, padding, order
    GARBAGE = "garbage"  # other than HTTP/2 from the beginning, or from somewhere on


@dataclass(frozen=True, slots=True)
class Case:
    """One call, stream or connection.

    Attributes:
        kind: What it tries.
        path: The method's, where gRPC's own client sends it; "" where it is a connection of its own.
        pieces: Messages to send on the call; or what is written to the connection, a write each.
    """

    kind: Kind
    path: str
    pieces: tuple[bytes, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(map(len, self.pieces))

    def to_fields(self) -> dict[str, Any]:
        """What JSON can hold; bytes are in hexadecimal digits."""
        return {"kind": self.kind.value, "path": self.path, "pieces": [piece.hex() for piece in self.pieces]}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Case":
        """The case that `to_fields` wrote."""
        return cls(Kind(fields["kind"]), fields["path"], tuple(bytes.fromhex(piece) for piece in fields["pieces"]))


Volley = tuple[Case, ...]  # sent at once
