"""A server's token file, as its tests write it."""

import hashlib
import secrets
from pathlib import Path

from support.certificates import replace


class TokenFile:
    """A server's token file, and the tokens in it by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens: dict[str, str] = {}

    def write(self, *names: str) -> None:
        """New tokens for these names, and no others."""
        self.tokens = {name: secrets.token_hex(32) for name in names}
        lines = (f"{name} {hashlib.sha256(token.encode()).hexdigest()}\n" for name, token in self.tokens.items())
        replace(self.path, "".join(lines).encode())

    def metadata(self, name: str) -> tuple[tuple[str, str], ...]:
        """What the owner of a token sends."""
        return (("authorization", f"Bearer {self.tokens[name]}"),)
