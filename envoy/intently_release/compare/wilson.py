"""An interval for a share that was counted: Wilson's score interval, which is fair to shares near 0 and 1 too."""

import math

_Z = 1.959963984540054  # leaves 2.5 % of the normal distribution on each side


def wilson(found: int, of: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927); None of nothing.

    It takes each of the `of` cases for drawn independently from the same traffic.
    """
    if of == 0:
        return None
    share, square = found / of, _Z * _Z
    middle = share + square / (2 * of)
    half = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    low, high = (middle - half) / (1 + square / of), (middle + half) / (1 + square / of)
    return (0.0 if found == 0 else low, 1.0 if found == of else high)
