"""Where load goes: a target, as the command line names it."""

import enum
from dataclasses import dataclass
from urllib.parse import urlsplit

PYTHON = "python:"
_GRPC = "grpc://"


class Speech(enum.Enum):
    """How a target is spoken to."""

    GRPC = "gRPC"
    HTTP = "HTTP"
    PYTHON = "Python"


@dataclass(frozen=True, slots=True)
class Target:
    """A target.

    Attributes:
        kind: How it is spoken to.
        address: gRPC: HOST:PORT or unix:PATH. HTTP: the URL. Python: MODULE:NAME, and ?KEY=VALUE&… for it.
    """

    kind: Speech
    address: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """The target of HOST:PORT, unix:PATH, grpc://HOST:PORT, http(s)://HOST:PORT[/PATH] or python:MODULE:NAME[?…].

        Raises:
            ValueError: if it is none of them.
        """
        if text.startswith(PYTHON):
            module, colon, name = text.removeprefix(PYTHON).partition("?")[0].partition(":")
            if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
                raise ValueError(f"{text!r} is no python:MODULE:NAME")
            return cls(Speech.PYTHON, text.removeprefix(PYTHON))
        if text.startswith(("http://", "https://")):
            if not urlsplit(text).hostname:
                raise ValueError(f"{text!r} names no host")
            return cls(Speech.HTTP, text)
        if "://" in text and not text.startswith(_GRPC):
            raise ValueError(
                f"{text!r} is no target: give HOST:PORT, unix:PATH, http://HOST:PORT or python:MODULE:NAME"
            )
        return cls(Speech.GRPC, text.removeprefix(_GRPC))
