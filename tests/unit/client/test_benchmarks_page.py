"""The page of benchmarks: figures, tables and plots out of the records of studies."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from intently.bench.histogram import Histogram
from support.benchmarks.figures import found_rates, legs
from support.benchmarks.page import load_records, write_page
from support.benchmarks.record import Record
from support.benchmarks.wanted import wanted

FACTS = {
    "date": "2026-11-22",
    "commit": "abc1234",
    "model": {"shape": "toy", "form": "bf16", "labels": 20, "prefix_tokens": 60, "max_tokens": 1084},
    "settings": {"kv_cache_gib": "1"},
    "tokens": [8, 24],
    "slo": "p99=82ms",
    "machine": {
        "gpus": [],
        "processor": "a processor",
        "cores": 2,
        "memory_gib": 8.0,
        "system": "Linux x86_64",
        "python": "3.11.7",
        "versions": {"vllm": "0.25.1"},
    },
}
OURS, PEER = "127.0.0.1:5001", "http://127.0.0.1:5002"


def histogram(*ms: float) -> dict[str, Any]:
    """As `intently bench` reports one."""
    times = Histogram()
    for each in ms:
        times.record(each / 1e3)
    return {"count": times.count, "hdr": {"data": times.encode()}}


def leg(target: str, per_s: float, *ms: float, at_once: int | None = 1, rate: float | None = None) -> dict[str, Any]:
    """One leg of a report."""
    latency = histogram(*ms)
    return {
        "target": target,
        "number": 1,
        "rate": rate,
        "concurrency": at_once,
        "limits": [],
        "answered_per_s": per_s,
        "total": {"errors": 0, "latency": latency, "failed_latency": histogram(), "scheduling_lag": histogram()},
        "unsent": 0,
        "unfinished": 0,
        "loop_lag": histogram(1.0),
        "series": [{"second": 1}],
    }


def found(target: str, per_s: float, failed_above: float, asked: float | None = None) -> dict[str, Any]:
    """What a search found on a target."""
    probe = {"rate": per_s, "passed": True, "value_s": 0.07, "sent_per_s": per_s}
    return {
        "target": target,
        "slo": {"percentile": 99.0, "limit_s": 0.082},
        "rate": asked or per_s,
        "sent_per_s": per_s,
        "failed_above": failed_above,
        "confirmed": True,
        "probes": [probe, probe | {"rate": failed_above, "passed": False, "value_s": 0.09}],
    }


def recorded(folder: Path, study: str, **runs: dict[str, Any]) -> None:
    """Writes the record of a study that is done."""
    record = Record(folder / f"{study}.json", study, {}, FACTS)
    for name, report in runs.items():
        record.run(name.replace("_", " "), {"envoy": OURS, "serve": PEER}, ["intently", "bench"], report)
    record.end()


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder of two records: a search that found 1.9 times as much, and closed loops of two rounds each."""
    folder = tmp_path / "records"
    folder.mkdir()
    ratios = {"ratio": {"value": 1.9, "low": 1.8, "high": 2.0, "rounds": []}}
    search = {"kind": "search", "runs": [], "found": [found(OURS, 1900, 1950), found(PEER, 1000, 1030)]}
    recorded(folder, "rate-beside-serve", rate=search | {"ratios": ratios})
    loops = {"kind": "ramp", "runs": [leg(OURS, 800.0, 10.0, 20.0, at_once=16), leg(OURS, 900.0, 30.0, at_once=16)]}
    recorded(folder, "closed-loops", envoy_1=loops)
    return folder


def test_rounds_are_taken_together(records: Path) -> None:
    [leg_found] = legs(load_records(records)["closed-loops"]["runs"])
    assert (leg_found.role, leg_found.at_once, leg_found.per_s) == ("envoy", 16, 850.0)
    assert leg_found.p50_ms == pytest.approx(20.0, rel=1e-3)
    assert leg_found.p99_ms == pytest.approx(30.0, rel=1e-3)


def test_a_single_load_stands_at_the_top_of_its_report(tmp_path: Path) -> None:
    options = {"rate": None, "concurrency": 8, "shape": "stream", "streams": 4}
    alone = leg(OURS, 100.0, 5.0) | {"kind": "run", "options": options, "targets": [{"address": OURS}]}
    recorded(tmp_path, "streams", **{"4_streams_1": alone})
    [found_leg] = legs(load_records(tmp_path)["streams"]["runs"])
    assert (found_leg.run, found_leg.at_once, found_leg.per_s) == ("4 streams 1", 32, 100.0)


def test_what_is_wanted_is_held_against_what_was_measured(records: Path) -> None:
    figures = {each.what: each for each in wanted(load_records(records))}
    over_serve = figures["rate within the latency, over `vllm serve`"]
    assert (over_serve.measured, over_serve.met) == (1.9, True)
    assert figures["p99 of 16 callers"].met is False
    assert figures["two GPUs, over one"].met is None


def test_more_arrivals_than_were_asked_for_are_no_merit(tmp_path: Path) -> None:
    lucky = [found(OURS, 1000, 1100, asked=900), found(PEER, 1000, 1030, asked=1000)]
    recorded(tmp_path, "rate-beside-serve", rate={"kind": "search", "runs": [], "found": lucky})

    over_serve = next(each for each in wanted(load_records(tmp_path)) if "vllm serve" in each.what)

    assert over_serve.measured == pytest.approx(0.9)


def test_a_search_tells_rates(records: Path) -> None:
    rates = found_rates(load_records(records)["rate-beside-serve"]["runs"])
    assert [(each.role, each.per_s, each.failed_above) for each in rates] == [
        ("envoy", 1900, 1950),
        ("serve", 1000, 1030),
    ]


def test_the_page_tells_what_was_measured_and_no_more(records: Path, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_page(records, page)
    text = page.read_text()
    assert "|`vllm serve`|1,000|1,000|1,030|yes|" in text
    assert "**1.900** (1.800 to 2.000)" in text
    assert "850 / 20.0 / 30.0" in text
    assert "## Streams" not in text
    assert "(records/rate-beside-serve.svg)" in text
    for plot in ("rate-beside-serve", "closed-loops"):
        drawn = ElementTree.fromstring((records / f"{plot}.svg").read_text())  # noqa: S314  # our own
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"


def changed(records: Path, part: str, **changes: Any) -> None:
    """Changes a part of the facts of one of the records."""
    file = records / "closed-loops.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {part: record[part] | changes}))


@pytest.mark.parametrize(
    ("part", "change"),
    [("model", {"form": "fp8"}), ("settings", {"kv_cache_gib": "2"}), ("machine", {"gpus": ["NVIDIA H200, 580, 1"]})],
)
def test_records_of_different_work_are_no_page(
    records: Path, tmp_path: Path, part: str, change: dict[str, Any]
) -> None:
    changed(records, part, **change)
    with pytest.raises(ValueError, match="do not belong on one page"):
        write_page(records, tmp_path / "benchmarks.md")


def test_the_page_names_every_host(records: Path, tmp_path: Path) -> None:
    changed(records, "machine", processor="another processor")
    write_page(records, tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text()
    assert "2 cores, another processor" in text
    assert "2 cores, a processor" in text


def test_a_study_that_is_not_done_is_no_record(records: Path) -> None:
    Record(records / "streams.json", "streams", {}, FACTS).end("TimeoutError")
    assert "streams" not in load_records(records)


def test_a_record_hides_folders_and_leaves_out_seconds(tmp_path: Path) -> None:
    record = Record(tmp_path / "one.json", "one", {tmp_path: "WORK"}, FACTS)
    report = {"kind": "ramp", "runs": [leg(OURS, 1.0, 1.0)], "machine": {"system": "mine"}}
    record.run("a", {"bare": f"python:x?bundle={tmp_path}"}, ["--bundle", str(tmp_path / "bundle")], report)
    text = (tmp_path / "one.json").read_text()
    assert str(tmp_path) not in text
    assert "WORK/bundle" in text
    [kept] = json.loads(text)["runs"]["a"]["report"]["runs"]
    assert "series" not in kept
    assert "hdr" not in kept["loop_lag"]
    assert "hdr" in kept["total"]["latency"]
    assert "mine" not in text
