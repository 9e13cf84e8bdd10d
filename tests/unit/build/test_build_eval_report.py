"""The report: a page that stands alone and is well formed, with the figures as JSON beside it."""

import dataclasses
import io
import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from intently_build.errors import BuildError
from intently_build.evaluation.figures import Bin, LossPoint, NewRows, Results
from intently_build.evaluation.gate import Gate
from intently_build.evaluation.report.html_report import results_html, write_reports
from intently_build.evaluation.report.plots import out_of_scope_plot, reliability_plot, size_plot, speed_plot
from intently_build.evaluation.report.svg import ticks
from intently_build.evaluation.tables import print_comparison, print_evaluation
from unit.build.eval_figures import results

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that what is opened is closed in order, and collects tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(found: Results) -> str:
    gate = Gate()
    return results_html(found, gate, gate.failures(found))


@pytest.mark.parametrize(
    "found", [results(30), results(30, 30), results(20, 400, 0), results(0, served=False), results(0, 0, served=False)]
)
def test_the_page_is_well_formed_and_fetches_nothing(found: Results) -> None:
    text = page(found)
    tags = Page(text).tags
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert not {"src", "href"} & {name for _, attributes in tags for name in attributes}
    assert "url(" not in text
    assert "@import" not in text
    drawings = sum(tag == "svg" for tag, _ in tags)
    confused = sum(bool(bundle.quality.confusions) for bundle in found.bundles)
    served = found.bundles[0].performance is not None
    assert drawings == 2 + served + len(found.bundles) + confused


def test_names_are_text_whatever_is_in_them() -> None:
    evil = '<script>alert("1")</script>&'
    text = page(results(30, 60, names=(evil, "b", "c")))
    assert not any(tag == "script" for tag, _ in Page(text).tags)
    assert "&lt;script&gt;" in text


def test_the_page_says_whether_the_gate_is_passed() -> None:
    assert "The gate is passed" in page(results(30, 31))
    failed = page(results(30, 60))
    assert "The gate is not passed" in failed
    assert "second fails the gate on accuracy" in failed
    assert "gate" not in page(results(30)).partition("<body>")[2]


def test_the_page_says_how_well_bundles_do_on_rows_that_none_learnt(tmp_path: Path) -> None:
    found = dataclasses.replace(results(30, 60), new_rows=NewRows(900, 100, {"first": 0.95, "second": 0.9}))
    said = "100 of the rows in scope are training rows of the data set too; accuracy on the other 900: first 95.00%"
    assert said in page(found)
    write_reports(tmp_path / "report.html", found, Gate(), ())
    assert json.loads((tmp_path / "report.json").read_text())["new_rows"]["accuracy"]["second"] == 0.9
    for none in (None, NewRows(1000, 0, {"first": 0.97})):
        assert "training rows" not in page(dataclasses.replace(found, new_rows=none))


def without_rows(found: Results, intents: int) -> Results:
    """The same, as if the first intents did not occur."""
    bundles = []
    for bundle in found.bundles:
        gone = [dataclasses.replace(each, rows=0, f1=0.0) for each in bundle.quality.intents[:intents]]
        left = bundle.quality.intents[intents:]
        quality = dataclasses.replace(bundle.quality, intents=(*gone, *left), confusions=())
        bundles.append(dataclasses.replace(bundle, quality=quality))
    return dataclasses.replace(found, bundles=tuple(bundles))


@pytest.mark.parametrize("wrong", [(30,), (30, 60)])
def test_intents_that_do_not_occur_are_told_beside_macro_f1(wrong: tuple[int, ...], tmp_path: Path) -> None:
    def said(found: Results) -> str:
        terminal = Console(file=io.StringIO(), width=200)
        (print_comparison if found.reference else print_evaluation)(found, terminal)
        assert isinstance(terminal.file, io.StringIO)
        return terminal.file.getvalue()

    found = without_rows(results(*wrong), 3)
    clause = "3 of 20 intents do not occur in these rows, and count 0 in macro-F1"
    assert clause in said(found)
    write_reports(tmp_path / "report.html", found, Gate(), ())
    assert clause in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["absent_intents"] == 3
    assert "do not occur" not in said(results(*wrong))
    assert "do not occur" not in results_html(results(*wrong), Gate(), ())


def test_the_json_beside_it_has_every_figure(tmp_path: Path) -> None:
    found = results(30, 60)
    failures = Gate().failures(found)
    write_reports(tmp_path / "new" / "report.html", found, Gate(), failures)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["report.html", "report.json"]
    content = json.loads((tmp_path / "new" / "report.json").read_text())
    assert content["reference"] == "first"
    assert content["gate"] == {"accuracy": 0.5, "macro_f1": 1.0, "failures": list(failures)}
    first, second = content["bundles"]
    assert first["comparison"] is None
    assert second["comparison"]["only_reference_right"] == 30
    assert second["quality"]["accuracy"] == pytest.approx(0.94)
    assert second["performance"]["calls_per_second"] == pytest.approx(210)
    assert len(second["quality"]["intents"]) == 20
    assert {field.name for field in dataclasses.fields(Results)} <= set(content)


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot write the report"):
        write_reports(tmp_path / "file" / "report.html", results(1), Gate(), ())


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_within_the_axis_and_neither_few_nor_many(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 2 <= len(found) <= 7
    assert all(low - width * 1e-6 <= tick <= low + width * (1 + 1e-6) for tick in found)
    steps = {round((second - first) / width, 4) for first, second in pairwise(found)}
    assert max(steps) - min(steps) <= 2e-4


SHARES = st.floats(0, 1)


@given(st.lists(st.builds(Bin, SHARES, SHARES, st.integers(0, 1000), SHARES, SHARES), max_size=15))
def test_a_reliability_plot_stays_within_its_drawing(bins: list[Bin]) -> None:
    check_drawing(reliability_plot(bins, "any"))


@given(st.lists(st.builds(LossPoint, SHARES, SHARES), min_size=1, max_size=30))
def test_an_out_of_scope_plot_stays_within_its_drawing(curve: list[LossPoint]) -> None:
    check_drawing(out_of_scope_plot([("one", curve), ("other", curve[::-1])]))


def test_plots_of_price_show_every_bundle_and_join_the_front() -> None:
    found = results(30, 60, 10)
    for plot in (speed_plot(found.bundles), size_plot(found.bundles)):
        root = check_drawing(plot)
        texts = [element.text for element in root.iter("text")]
        assert {"first", "second", "third"} <= set(texts)
        # The third is the most accurate, the fastest and the smallest: it is the front alone.
        [front] = [line for line in root.iter("polyline") if "front" in line.attrib["class"]]
        assert len(front.attrib["points"].split()) == 1


def check_drawing(svg: str) -> ElementTree.Element:
    """Every mark and line lies within the view."""
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    places = [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in root.iter("circle")]
    for line in root.iter("polyline"):
        pairs = [place.split(",") for place in line.attrib["points"].split()]
        places += [(float(x), float(y)) for x, y in pairs]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    return root
