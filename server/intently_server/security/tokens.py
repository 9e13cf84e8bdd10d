"""Bearer tokens: a file of names and hashes, and whether a token is one of them."""

import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from intently_server.security.permissions import warn_if_others_can_read
from intently_server.security.problem import SecurityProblem
from intently_server.security.reloading import Reloading

logger = logging.getLogger(__name__)

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})[ \t]+([0-9A-Fa-f]{64})")


@dataclass(frozen=True, slots=True)
class Token:
    """The SHA-256 of a token, and whose it is."""

    name: str
    sha256: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that let a caller in. A name may have several, so that one can follow the other."""

    tokens: tuple[Token, ...] = field(repr=False)

    def name_of(self, token: str) -> str | None:
        """Whose token this is, or None. Takes as long whether it is the first one, the last one or none."""
        digest, name = hashlib.sha256(token.encode()).digest(), None
        for each in self.tokens:
            if hmac.compare_digest(digest, each.sha256):
                name = each.name
        return name


def reloading_tokens(file: Path) -> Reloading[Tokens]:
    """Tokens that follow their file.

    Args:
        file: A line a token: a name and the SHA-256 of the token as 64 hexadecimal digits. Empty lines, and those that
            begin with #, are skipped.

    Raises:
        SecurityProblem: if it cannot be used now.
    """

    def parse(contents: Sequence[bytes]) -> Tokens:
        return _tokens(file, contents[0])

    def taken(tokens: Tokens) -> None:
        logger.info("using token file %s: %d tokens", file, len(tokens.tokens))
        warn_if_others_can_read(file)

    return Reloading([file], parse, taken)


def _tokens(file: Path, content: bytes) -> Tokens:
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise SecurityProblem(f"{file}: is not UTF-8") from None
    tokens: list[Token] = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise SecurityProblem(f"{file}: line {number} is not a name and the 64 hexadecimal digits of a SHA-256")
        token = Token(parts[1], bytes.fromhex(parts[2]))
        if any(token.sha256 == other.sha256 for other in tokens):
            raise SecurityProblem(f"{file}: line {number} repeats a token")
        tokens.append(token)
    if not tokens:
        raise SecurityProblem(f"{file}: holds no token")
    return Tokens(tuple(tokens))
