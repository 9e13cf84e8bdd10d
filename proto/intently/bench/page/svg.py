"""A drawing in SVG: axes that may be logarithmic, lines, dots and bars in the units of the data; it fetches nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

_WIDTH, _HEIGHT = 560, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 46  # margins


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: from `low` to `high` of what `title` says, with a tick and its text at each of `ticks`.

    Attributes:
        logarithmic: Whether equal steps are equal ratios; then `low` is above 0.
    """

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, 0 to 1; what is beyond an end lies on it."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Drawing:
    """A plot with two axes.

    Args:
        title: Stands above it, and is read out in its place.
    """

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self._x, self._y = x, y
        view = f"0 0 {_WIDTH} {_HEIGHT}"
        self._root = ElementTree.Element("svg", {"viewBox": view, "role": "img", "class": "plot", "aria-label": title})
        self._text(title, 14, _TOP - 14, "title", "start")
        self._draw_axes()

    def markup(self) -> str:
        """The drawing as an element of an HTML page; texts in it are escaped."""
        return ElementTree.tostring(self._root, encoding="unicode", short_empty_elements=False)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Joins points; `kind` is the class that the page's style gives colour to. A single point is a dot."""
        if len(points) == 1:
            self.mark(*points[0], kind, "")
        path = " ".join(f"{self._right(x):.1f},{self._down(y):.1f}" for x, y in points)
        self._add("polyline", {"points": path, "class": f"line {kind}"})

    def mark(self, x: float, y: float, kind: str, tip: str) -> None:
        """Draws a dot that says `tip` when one points at it."""
        place = {"cx": f"{self._right(x):.1f}", "cy": f"{self._down(y):.1f}", "r": "3.5"}
        ElementTree.SubElement(self._add("circle", {**place, "class": f"mark {kind}"}), "title").text = tip

    def legend(self, names: Sequence[tuple[str, str]]) -> None:
        """Names the lines, at the upper left: each the class of its colour and what it is called."""
        for row, (kind, name) in enumerate(names):
            self._text(name, _LEFT + 10, _TOP + 14 + 14 * row, f"name {kind}", "start")

    def bound(self, y: float, text: str) -> None:
        """Draws a dashed line across, and says what it is."""
        self.line([(self._x.low, y), (self._x.high, y)], "bound")
        self._text(text, _WIDTH - _RIGHT - 4, self._down(y) - 5, "label", "end")

    def column(self, x: float, low: float, high: float, kind: str) -> None:
        """Draws a line upright from one height to another: an interval."""
        self.line([(x, low), (x, high)], kind)

    def _draw_axes(self) -> None:
        for value, text in self._x.ticks:
            self._rule(self._right(value), _TOP, self._right(value), _HEIGHT - _BOTTOM)
            self._text(text, self._right(value), _HEIGHT - _BOTTOM + 15, "tick", "middle")
        for value, text in self._y.ticks:
            self._rule(_LEFT, self._down(value), _WIDTH - _RIGHT, self._down(value))
            self._text(text, _LEFT - 6, self._down(value) + 4, "tick", "end")
        self._text(self._x.title, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, "axis", "middle")
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        turned = self._text(self._y.title, 14, middle, "axis", "middle")
        turned.set("transform", f"rotate(-90 14 {middle:.1f})")

    def _right(self, x: float) -> float:
        return _LEFT + self._x.share(x) * (_WIDTH - _LEFT - _RIGHT)

    def _down(self, y: float) -> float:
        return _HEIGHT - _BOTTOM - self._y.share(y) * (_HEIGHT - _TOP - _BOTTOM)

    def _rule(self, x1: float, y1: float, x2: float, y2: float) -> None:
        ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
        self._add("line", {**ends, "class": "grid"})

    def _text(self, text: str, x: float, y: float, kind: str, anchor: str) -> ElementTree.Element:
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": kind, "text-anchor": anchor}
        element = self._add("text", place)
        element.text = text
        return element

    def _add(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(self._root, tag, attributes)
