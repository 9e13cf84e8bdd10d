"""Which of several choices are worth having: those than which no other is better in every way."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
    """Returns the indices of the points that no other dominates, by the first coordinate; more is better in all.

    A point dominates another if it is as good in every coordinate and better in one. Of equal points all stay.
    """
    front = [index for index, point in enumerate(points) if not any(_dominates(other, point) for other in points)]
    return tuple(sorted(front, key=lambda index: points[index]))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))
