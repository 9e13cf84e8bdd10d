"""Which of several choices are worth having: those than which no other is better in every way."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Returns the indices of the points that no other dominates, by the first coordinate; more is better in both.

    A point dominates another if it is as good in both coordinates and better in one. Of equal points all stay.
    """
    front = [
        index
        for index, (x, y) in enumerate(points)
        if not any(u >= x and v >= y and (u > x or v > y) for u, v in points)
    ]
    return tuple(sorted(front, key=lambda index: points[index]))
