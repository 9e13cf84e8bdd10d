"""Several measurements in one run: ramps, the search for a rate, two targets in turn, and what is told of them."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from intently.bench import command
from intently.bench.exit_code import FAILED
from support.in_memory import InMemory
from support.paths import ROOT

pytestmark = pytest.mark.timeout(60)
QUEUE = "python:support.queue_target:Queue?per_s=450"


class Bench:
    """Runs the command in a thread, so that the server in the test goes on."""

    def __init__(self, folder: Path) -> None:
        self.page = folder / "report.html"

    def arguments(self, *arguments: str) -> list[str]:
        return ["--html", str(self.page), "--allow-limited", "--arrivals", "constant", *arguments]

    async def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the report."""
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        code = await asyncio.to_thread(command.run, parser.parse_args(self.arguments(*arguments)))
        return code, self.report()

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.page.with_suffix(".json").read_text(encoding="utf-8"))
        return report


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The command, run where targets in Python are found."""
    monkeypatch.chdir(ROOT / "tests")
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("ramp", "loads"),
    [
        (["--ramp", "40:80:2"], [(40.0, None), (80.0, None)]),
        (["--ramp", "40,80", "--shape", "stream", "--streams", "2"], [(40.0, None), (80.0, None)]),
    ],
    ids=["calls", "streams"],
)
async def test_a_ramp_measures_one_load_after_the_other(
    server: InMemory, bench: Bench, capsys: pytest.CaptureFixture[str], ramp: list[str], loads: list[Any]
) -> None:
    code, report = await bench.run(
        *("--address", server.served.address, *ramp, "--duration", "300ms", "--warm-up", "100ms", "--words", "3-5"),
        *("--progress", "lines", "--processes", "2", "--fail-if", "errors>0"),
    )

    said = capsys.readouterr()
    assert code == 0
    assert report["kind"] == "ramp"
    assert [(run["rate"], run["concurrency"]) for run in report["runs"]] == loads
    assert [run["total"]["sent"] for run in report["runs"]] == [12, 24]
    assert all(
        run["lost"] == run["answered_twice"] == run["total"]["errors"] == 0 < run["total"]["answered"]
        for run in report["runs"]
    )
    assert said.err.count("target ") == len(loads)
    assert sum(line.startswith(server.served.address) for line in said.out.splitlines()) == len(loads)
    assert "<svg" in bench.page.read_text(encoding="utf-8")


async def test_the_search_finds_the_rate_that_a_queue_serves(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = await bench.run(
        *("--address", QUEUE, "--slo", "p50=30ms", "--rate", "390", "--duration", "500ms"),
        *("--precision", "50%", "--confirmations", "1", "--fail-if", "found<1"),
    )

    [found] = report["found"]
    assert code == 0
    assert found["confirmed"]
    assert 0 < found["rate"] < 500  # more than it serves cannot pass, but for the width of the schedule
    assert found["rate"] < found["failed_above"] <= 1.5 * found["rate"]
    assert (found["probes"][-1]["rate"], found["probes"][-1]["confirming"]) == (found["rate"], True)
    assert found["sent_per_s"] == pytest.approx(found["rate"], rel=0.1)  # arrivals are constant
    assert f"of {found['rate']:.4g} asked for, at p50 ≤ 30 ms, confirmed" in capsys.readouterr().out


async def test_a_target_that_is_too_slow_with_nothing_to_do_has_no_rate(bench: Bench) -> None:
    """Its one probe would take 100 s, and is cut short as soon as its outcome is clear."""
    code, report = await bench.run(
        *("--address", QUEUE, "--slo", "p99=1ms", "--rate", "20", "--duration", "30s", "--timeout", "1")
    )
    [probe] = report["found"][0]["probes"]
    assert code == FAILED
    assert report["found"][0]["rate"] is None
    assert probe["cut_short"]
    assert not probe["passed"]
    assert report["failures"] == [f"{QUEUE} does not meet p99 ≤ 1 ms at any rate"]


async def test_two_targets_are_measured_in_turn(
    server: InMemory, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = QUEUE.replace("450", "20")
    code, report = await bench.run(
        *("--address", server.served.address, "--against", slow, "--rounds", "2", "--duration", "300ms"),
        *("--concurrency", "4", "--fail-if", "ratio<1000", "--fail-if", "ratio.low>1000"),
    )

    ratio = report["ratios"]["ratio"]
    assert code == FAILED
    assert [(run["target"], run["number"]) for run in report["runs"]] == [
        (target, number) for number in (1, 2) for target in (server.served.address, slow)
    ]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert ratio["rounds"] == pytest.approx(
        [report["runs"][at]["answered_per_s"] / report["runs"][at + 1]["answered_per_s"] for at in (0, 2)], rel=1e-3
    )
    assert {"p50-ratio", "p99-ratio"} <= set(report["ratios"])
    [failure] = report["failures"]
    assert failure.startswith("ratio is ")
    assert "95 %, 2 rounds" in capsys.readouterr().out


async def test_stopped_in_a_ramp_it_reports_the_steps_until_then(server: InMemory, bench: Bench) -> None:
    arguments = ("--address", server.served.address, "--ramp", "50,100,200", "--duration", "10m", "--progress", "lines")
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("intently"),
        *("bench", *bench.arguments(*arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    report = bench.report()
    assert process.returncode == 0, err
    assert b"interrupted: this is what was measured until then" in out
    assert [run["rate"] for run in report["runs"]] == [50.0]
    assert report["runs"][0]["total"]["answered"] > 0


async def test_a_target_that_is_not_there_is_named_beside_the_other(server: InMemory, bench: Bench) -> None:
    code, report = await bench.run(
        "--address", server.served.address, "--against", "127.0.0.1:1", "--wait", "300ms", "--rounds", "2"
    )
    assert code == FAILED
    assert report["failures"] == ["127.0.0.1:1, process 1: no server answers at 127.0.0.1:1"]
