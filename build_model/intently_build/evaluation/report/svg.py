"""A drawing in SVG: axes, marks, lines and text in the units of the data, with nothing fetched from anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

_WIDTH, _HEIGHT = 420, 320
_RIGHT, _TOP, _BOTTOM = 14, 30, 46  # margins
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Axis:
    """One axis: from `low` to `high` of what `title` says, with a tick and its text at each of `ticks`."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Returns how far along the axis a value lies, 0 to 1 within it."""
        return (value - self.low) / (self.high - self.low)


class Drawing:
    """A plot with two axes.

    Args:
      title: stands above it, and is read out in its place.
      x, y: the axes.
      left: the margin for the texts of the y axis.
    """

    def __init__(self, title: str, x: Axis, y: Axis, left: int = 62) -> None:
        self._x, self._y, self._left = x, y, left
        view = f"0 0 {_WIDTH} {_HEIGHT}"
        self._root = ElementTree.Element("svg", {"viewBox": view, "role": "img", "class": "plot", "aria-label": title})
        self._text(title, 14, _TOP - 14, "title", "start")
        self._draw_axes()

    def markup(self) -> str:
        """Returns the drawing as an element of an HTML page."""
        return ElementTree.tostring(self._root, encoding="unicode", short_empty_elements=False)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Joins points; `kind` is the class that the page's style gives colour to."""
        path = " ".join(f"{self._right(x):.1f},{self._down(y):.1f}" for x, y in points)
        self._add("polyline", {"points": path, "class": f"line {kind}"})

    def mark(self, x: float, y: float, kind: str, radius: float, tip: str) -> None:
        """Draws a dot that says `tip` when one points at it."""
        place = {"cx": f"{self._right(x):.1f}", "cy": f"{self._down(y):.1f}", "r": f"{radius:.1f}"}
        self._tip(self._add("circle", {**place, "class": f"mark {kind}"}), tip)

    def box(self, corner: tuple[float, float], opposite: tuple[float, float], opacity: float, tip: str) -> None:
        """Fills a box from one corner to the opposite one, in the units of the axes."""
        across = sorted((self._right(corner[0]), self._right(opposite[0])))
        down = sorted((self._down(corner[1]), self._down(opposite[1])))
        place = {"x": f"{across[0]:.1f}", "y": f"{down[0]:.1f}"}
        size = {"width": f"{across[1] - across[0]:.1f}", "height": f"{down[1] - down[0]:.1f}"}
        self._tip(self._add("rect", {**place, **size, "class": "box", "fill-opacity": f"{opacity:.3f}"}), tip)

    def label(self, text: str, x: float, y: float, kind: str = "label", lift: float = 8) -> None:
        """Writes text beside a point; towards the middle where it would leave the drawing."""
        anchor = "end" if self._x.share(x) > 0.6 else "start"
        self._text(text, self._right(x) + (-6 if anchor == "end" else 6), self._down(y) - lift, kind, anchor)

    def centre(self, text: str, x: float, y: float, kind: str) -> None:
        """Writes text on a point."""
        self._text(text, self._right(x), self._down(y) + 4, kind, "middle")

    def _draw_axes(self) -> None:
        for value, text in self._x.ticks:
            self._rule(self._right(value), _TOP, self._right(value), _HEIGHT - _BOTTOM)
            self._text(text, self._right(value), _HEIGHT - _BOTTOM + 15, "tick", "middle")
        for value, text in self._y.ticks:
            self._rule(self._left, self._down(value), _WIDTH - _RIGHT, self._down(value))
            self._text(text, self._left - 6, self._down(value) + 4, "tick", "end")
        self._text(self._x.title, (self._left + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, "axis", "middle")
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        turned = self._text(self._y.title, 14, middle, "axis", "middle")
        turned.set("transform", f"rotate(-90 14 {middle:.1f})")

    def _right(self, x: float) -> float:
        return self._left + self._x.share(x) * (_WIDTH - self._left - _RIGHT)

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

    def _tip(self, element: ElementTree.Element, text: str) -> None:
        ElementTree.SubElement(element, "title").text = text

    def _add(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(self._root, tag, attributes)


def ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Returns round numbers from `low` to `high`, about as many as wanted: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - _ROUNDING))
    first, last = math.ceil(low / step - _ROUNDING), math.floor(high / step + _ROUNDING)
    return tuple(round(place * step, 12) for place in range(first, last + 1))
