"""The plots of an evaluation: reliability, what is confused with what, out of scope, and accuracy against its price."""

from collections.abc import Callable, Sequence

from intently_build.evaluation.figures import Bin, BundleResult, LossPoint, Quality
from intently_build.evaluation.pareto import pareto_front
from intently_build.evaluation.report.svg import Axis, Drawing, ticks

CONFUSED = 12
"""At most so many intents are in the plot of the most confused."""

_LONGEST = 22  # characters of an intent's name beside it


def reliability_plot(bins: Sequence[Bin], title: str) -> str:
    """Returns how often answers are right against how sure they are; a dot's area is the share of the rows."""
    drawing = Drawing(title, _percent_axis("confidence", 0, 1), _percent_axis("accuracy", 0, 1))
    drawing.line([(0, 0), (1, 1)], "diagonal")
    rows = sum(each.rows for each in bins) or 1
    filled = [each for each in bins if each.rows]
    drawing.line([(each.confidence, each.accuracy) for each in filled], "s0")
    for each in filled:
        tip = f"{each.rows} rows, confidence {each.confidence:.1%}, right {each.accuracy:.1%}"
        drawing.mark(each.confidence, each.accuracy, "s0", 3 + 12 * (each.rows / rows) ** 0.5, tip)
    return drawing.markup()


def out_of_scope_plot(curves: Sequence[tuple[str, Sequence[LossPoint]]]) -> str:
    """Returns the out-of-scope recall against the in-scope loss, a line for each bundle, to a loss of 20 %."""
    title = "Out-of-scope recall against in-scope loss"
    drawing = Drawing(title, _percent_axis("in-scope rows lost", 0, 0.2), _percent_axis("out-of-scope recall", 0, 1))
    for number, (name, curve) in enumerate(curves):
        shown = [each for each in curve if each.in_scope_loss <= 0.2]
        drawing.line([(each.in_scope_loss, each.out_of_scope_recall) for each in shown], series(number))
        for each in shown[::8]:
            tip = f"{name}: recall {each.out_of_scope_recall:.1%} at a loss of {each.in_scope_loss:.1%}"
            drawing.mark(each.in_scope_loss, each.out_of_scope_recall, series(number), 3.5, tip)
    return drawing.markup()


def speed_plot(bundles: Sequence[BundleResult]) -> str:
    """Returns accuracy against speed; bundles that no server answered for are not in it."""

    def speed(bundle: BundleResult) -> float:
        return bundle.performance.calls_per_second if bundle.performance else 0.0

    measured = [(number, bundle) for number, bundle in enumerate(bundles) if bundle.performance]
    return _price_plot("Accuracy against speed", "calls/s while evaluated", measured, speed, sign=1)


def size_plot(bundles: Sequence[BundleResult]) -> str:
    """Returns accuracy against the size on disk."""

    def size(bundle: BundleResult) -> float:
        return bundle.bytes_on_disk / 1e6

    return _price_plot("Accuracy against size", "MB on disk", list(enumerate(bundles)), size, sign=-1)


def confusion_plot(quality: Quality, title: str) -> str:
    """Returns the rows of the most confused intents: those in the most frequent confusions, at most CONFUSED.

    There must be a confusion.
    """
    names = list(dict.fromkeys(name for each in quality.confusions for name in (each.right, each.predicted)))[:CONFUSED]
    places = {name: place for place, name in enumerate(names)}
    rows = {
        each.intent: (each.rows, round(each.rows * each.recall)) for each in quality.intents if each.intent in places
    }
    count = len(names)
    across = tuple((place + 0.5, str(place + 1)) for place in range(count))
    down = tuple((count - place - 0.5, f"{name[:_LONGEST]} · {place + 1}") for place, name in enumerate(names))
    drawing = Drawing(title, Axis("predicted", 0, count, across), Axis("right", 0, count, down), left=170)
    cells = [(name, name, right) for name, (_, right) in rows.items()]
    cells += [(each.right, each.predicted, each.rows) for each in quality.confusions]
    for right, predicted, number in cells:
        if number and right in places and predicted in places:
            x, y = places[predicted], count - 1 - places[right]
            share = number / rows[right][0]
            drawing.box((x, y), (x + 1, y + 1), 0.1 + 0.8 * share, f"{number} rows of {right} taken for {predicted}")
            drawing.centre(str(number), x + 0.5, y + 0.5, "cell strong" if share > 0.5 else "cell")
    return drawing.markup()


def series(number: int) -> str:
    """Returns the class of a bundle's lines and dots."""
    return f"s{number % 8}"


def _price_plot(
    title: str,
    axis: str,
    bundles: Sequence[tuple[int, BundleResult]],
    price: Callable[[BundleResult], float],
    sign: int,
) -> str:
    """Draws the bundles, and joins those on the Pareto front; `sign` is -1 where less is better."""
    points = [(price(bundle), bundle.quality.accuracy) for _, bundle in bundles]
    drawing = Drawing(title, _axis(axis, [x for x, _ in points]), _accuracy_axis([y for _, y in points]))
    front = pareto_front([(sign * x, y) for x, y in points])
    drawing.line([points[index] for index in front], "front")
    for (number, bundle), (x, y) in zip(bundles, points, strict=True):
        drawing.mark(x, y, series(number), 5, f"{bundle.name}: {y:.2%}, {x:,.1f} {axis}")
        drawing.label(bundle.name, x, y)
    return drawing.markup()


def _axis(title: str, values: Sequence[float]) -> Axis:
    high = max(values) * 1.08
    return Axis(title, 0, high, tuple((value, f"{value:g}") for value in ticks(0, high)))


def _accuracy_axis(values: Sequence[float]) -> Axis:
    """Returns an axis that shows differences of some tenths of a point, and never less than one point."""
    low, high = min(values), max(values)
    margin = max((high - low) * 0.15, 0.005)
    return _percent_axis("accuracy", max(low - margin, 0.0), min(high + margin, 1.0))


def _percent_axis(title: str, low: float, high: float) -> Axis:
    found = ticks(low * 100, high * 100)
    return Axis(title, low, high, tuple((value / 100, f"{value:g} %") for value in found))
