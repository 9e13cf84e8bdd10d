"""Altered copies of utterances: what a teacher thinks of them says more than what it thinks of rows it knows."""

import random
from collections.abc import Sequence

from intently_build.recipe import Alter


def altered_copies(texts: Sequence[str], settings: Alter, seed: int) -> list[str]:
    """Returns `settings.copies` altered copies of each text, none of them empty; the same ones for the same seed."""
    draw = random.Random(seed)
    parted = [_units(text, settings) for text in texts]
    pool = [unit for units in parted for unit in units]
    copies = [_alter(units, parted, pool, settings, draw) for _ in range(settings.copies) for units in parted]
    return [_glue(settings).join(units) for units in copies]


def _alter(
    units: list[str], others: Sequence[list[str]], pool: Sequence[str], settings: Alter, draw: random.Random
) -> list[str]:
    spliced = _spliced(units, draw.choice(others), draw) if draw.random() < settings.splice else units
    kept = [unit for unit in spliced if draw.random() >= settings.drop] or [draw.choice(spliced)]
    changed = [draw.choice(pool) if draw.random() < settings.replace else unit for unit in kept]
    for place in range(len(changed) - 1):
        if draw.random() < settings.swap:
            changed[place], changed[place + 1] = changed[place + 1], changed[place]
    return changed if any(unit.strip() for unit in changed) else units


def _spliced(units: list[str], other: list[str], draw: random.Random) -> list[str]:
    """Returns the beginning of `units` and the end of `other`; never nothing."""
    return units[: draw.randint(1, len(units))] + other[draw.randint(0, len(other)) :]


def _units(text: str, settings: Alter) -> list[str]:
    units = text.split() if settings.unit == "word" else list(text)
    return units or [text]


def _glue(settings: Alter) -> str:
    return " " if settings.unit == "word" else ""
