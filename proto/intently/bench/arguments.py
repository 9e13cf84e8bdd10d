"""Values of the command line: times, counts, rates, metadata."""

import argparse
import math
import re

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: str) -> float:
    """A time such as 82ms, 1.5s or 2m, in seconds; a bare number is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(us|ms|s|m|h|)", value.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{value!r} is no time such as 250us, 82ms, 1.5s or 2m")
    return float(match[1]) * _UNITS[match[2]]


def positive_seconds(value: str) -> float:
    """A time above 0, in seconds."""
    time_s = seconds(value)
    if not time_s:
        raise argparse.ArgumentTypeError("must be more than 0")
    return time_s


def positive(value: str) -> int:
    """A whole number above 0."""
    if not value.isascii() or not value.isdigit() or not int(value):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number above 0")
    return int(value)


def natural(value: str) -> int:
    """A whole number, 0 or more."""
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number, 0 or more")
    return int(value)


def rate(value: str) -> float:
    """A number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r} is no rate above 0")
    return number


def share(value: str) -> float:
    """A share above 0 and below 1, such as 0.02 or 2%."""
    number = rate(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no share below 1")
    return number


def span(value: str) -> tuple[int, int]:
    """A whole number above 0, or two with a hyphen between: the least and the most."""
    low, _, high = value.partition("-")
    least, most = positive(low), positive(high or low)
    if least > most:
        raise argparse.ArgumentTypeError(f"{value!r} begins above its end")
    return least, most


def ramp(value: str) -> tuple[float, ...]:
    """FROM:TO:STEPS, rates evenly apart, both ends among them; or rates with commas between."""
    if ":" not in value:
        return tuple(rate(each) for each in value.split(","))
    parts = value.split(":")
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"{value!r} is no ramp such as 100:1000:10 or 100,200,400")
    first, last, steps = rate(parts[0]), rate(parts[1]), positive(parts[2])
    if steps == 1:
        raise argparse.ArgumentTypeError("a ramp has two steps at least")
    return tuple(first + (last - first) * number / (steps - 1) for number in range(steps))


def counts(value: str) -> tuple[int, ...]:
    """Whole numbers above 0 with commas between."""
    return tuple(positive(each) for each in value.split(","))


def metadatum(value: str) -> tuple[str, str]:
    """KEY=VALUE, the key in lower case. The value may be a secret, so no error tells it."""
    key, equals, text = value.partition("=")
    key = key.lower()
    if not equals or not re.fullmatch(r"[a-z0-9_.-]+", key) or key.startswith("grpc-") or key.endswith("-bin"):
        raise argparse.ArgumentTypeError("must be KEY=VALUE, with a KEY that gRPC allows for text")
    if not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"the value of {key} must be printable ASCII")
    return key, text
