"""Samples of Prometheus' text format, as far as our own server writes it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+)(?: [0-9]+)?")
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\]|\\.)*)",?')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str) -> Iterator[Sample]:
    """All of a text; what is no sample is left out."""
    for line in text.split("\n"):
        if match := _SAMPLE.fullmatch(line):
            labels = {each["name"]: _plain(each["value"]) for each in _LABEL.finditer(match["labels"] or "")}
            try:
                yield Sample(match["name"], labels, float(match["value"]))
            except ValueError:
                continue


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value)
