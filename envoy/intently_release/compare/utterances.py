"""Requests from the lines of a file: one JSON object each, or plain utterances."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from intently.v1 import intent_service_pb2 as pb

MOST_BYTES = 1 << 20  # of a line: more than any server takes as an utterance with its context
_TOLD = 5  # lines that cannot be used, by their numbers
_ROLES = {
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "ROLE_USER": pb.ROLE_USER,
    "ROLE_ASSISTANT": pb.ROLE_ASSISTANT,
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """A request to replay.

    Attributes:
        line: Where it stands, from 1.
        request: What is sent. Only its first prediction is asked for.
    """

    line: int
    request: pb.ClassifyRequest


class Utterances:
    """Makes requests of lines. The first line that is not blank decides: JSON objects, or plain utterances.

    An object has `text`, may have `context` (objects with `role`, "user" or "assistant", and `text`, oldest first) and
    `language_code`, and whatever else is in it is left alone.

    Attributes:
        unusable: Lines that are none, whose text is told nowhere.
        first_unusable: The numbers of the first of them.
    """

    def __init__(self) -> None:
        self.unusable = 0
        self._told: list[int] = []
        self._as_json: bool | None = None

    @property
    def first_unusable(self) -> Sequence[int]:
        """The numbers of the first lines that cannot be used."""
        return tuple(self._told)

    def read(self, number: int, line: bytes) -> Utterance | None:
        """The request of a line; None if it is blank, or cannot be used."""
        if not (stripped := line.strip()):
            return None
        if self._as_json is None:
            self._as_json = stripped.removeprefix(b"\xef\xbb\xbf").startswith(b"{")
        try:
            if len(line) > MOST_BYTES:
                raise ValueError("too long")
            text = stripped.decode("utf-8-sig")
            return Utterance(number, _request(json.loads(text)) if self._as_json else _plain(text))
        except (ValueError, TypeError, KeyError, RecursionError):  # a UnicodeDecodeError is a ValueError
            self.unusable += 1
            if len(self._told) < _TOLD:
                self._told.append(number)
            return None


def _plain(text: str) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(text=text, top_k=1)


def _request(document: Any) -> pb.ClassifyRequest:
    text = document["text"]  # a TypeError unless it is an object
    context = [pb.Turn(role=_ROLES[turn["role"]], text=turn["text"]) for turn in document.get("context") or ()]
    language = document.get("language_code") or ""
    request = pb.ClassifyRequest(text=text, context=context, language_code=language, top_k=1)
    if not request.text.strip():
        raise ValueError("no text")
    return request
