"""What is said: lines of a file, or a varied list made from a seed."""

import json
import random
from pathlib import Path

_MADE = 2000
_TEMPLATES = (
    "wake me at {time}",
    "set a timer for {number} minutes",
    "what is the weather in {place} {day}",
    "will it rain {day}",
    "play something by {name}",
    "send {number} dollars to {name}",
    "what is on my calendar for {day}",
    "book a table for {number} in {place} at {time}",
    "how do you say thank you in {language}",
    "call {name} please",
    "remind me to write to {name} {day}",
    "when does the next train to {place} leave",
    "how far is it from here to {place}",
    "turn the lights off at {time}",
    "how much is left on my card",
    "my card was declined in {place}, why",
    "what time is it in {place}",
    "add {number} eggs to the shopping list",
    "is {place} safe to travel to {day}",
    "tell me a joke about {language} grammar",
)
_SLOTS = {
    "time": ("six", "half past seven", "noon", "a quarter to nine", "eleven at night", "5:40"),
    "number": ("two", "three", "four", "ten", "twelve", "forty five"),
    "place": ("Paris", "Osaka", "Lagos", "the airport", "Reykjavik", "my office", "Porto Alegre"),
    "day": ("today", "tomorrow", "on Friday", "next week", "this evening", "on the first of May"),
    "name": ("Anna", "my brother", "Ms Okafor", "the landlord", "Wei", "José"),
    "language": ("Portuguese", "Finnish", "Korean", "Swahili", "Welsh"),
}


def made(seed: int, count: int = _MADE) -> tuple[str, ...]:
    """Utterances of some twenty kinds; the same for the same seed."""
    chosen = random.Random(seed)
    return tuple(
        chosen.choice(_TEMPLATES).format(**{slot: chosen.choice(values) for slot, values in _SLOTS.items()})
        for _ in range(count)
    )


def read(path: Path) -> tuple[str, ...]:
    """The utterances of a file: its lines, or the `text` of each line where the first is a JSON object.

    Raises:
        ValueError: if it has none, or a line is not what the first line promised. It names the line, not what is in it.
        OSError: if it cannot be read.
    """
    return tuple(text for text, _ in read_rows(path))


def read_rows(path: Path) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The same, with the `token_ids` of the whole prompt beside each where rows have them; () elsewhere."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise ValueError(f"{path} has no utterances")
    if not numbered[0][1].startswith("{"):
        return tuple((line, ()) for _, line in numbered)
    return tuple(_row(path, number, line) for number, line in numbered)


def _row(path: Path, number: int, line: str) -> tuple[str, tuple[int, ...]]:
    try:
        row = json.loads(line)
        text, ids = row["text"], row.get("token_ids", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        text, ids = None, []
    if not isinstance(text, str) or not text:
        raise ValueError(f'{path}, line {number}: no JSON object with a "text"')
    if not isinstance(ids, list) or not all(isinstance(each, int) and each >= 0 for each in ids):
        raise ValueError(f"{path}, line {number}: token_ids are whole numbers, 0 or more")
    return text, tuple(ids)
