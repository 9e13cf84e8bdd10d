"""Rows of the committed data sets."""

import json
from pathlib import Path


def read_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a JSON Lines file, as {"text", "intent", ...}."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
