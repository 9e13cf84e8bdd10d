"""The load generator against a server on a real socket: what it counts, stalls, Ctrl-C, and its word on itself."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from intently.bench import command
from intently.bench.exit_code import FAILED, LIMITED
from intently.bench.histogram import Histogram
from intently_server.bundle import Bundle
from support.certificates import SERVER_NAME, ServerFiles, issue, replace
from support.in_memory import InMemory, StartInMemory

pytestmark = pytest.mark.timeout(60)
PATIENT = {"max_wait": 60.0}  # the server refuses nobody for the time that an answer would take
BUSY_MACHINE = "--allow-limited"  # the test's own server and the generator share a machine that may be busy


class Bench:
    """Runs the command against a server, in a thread, so that the server goes on."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._report = folder / "report.json"

    def arguments(self, *arguments: str) -> list[str]:
        return ["--address", self._address, "--json", str(self._report), BUSY_MACHINE, *arguments]

    async def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the report."""
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        code = await asyncio.to_thread(command.run, parser.parse_args(self.arguments(*arguments)))
        return code, self.report()

    @contextlib.asynccontextmanager
    async def started(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The command as a process of its own, showing a line a second on its stderr; killed if it is left running."""
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("intently"),
            *("bench", *self.arguments("--progress", "lines", *arguments)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._report.read_text(encoding="utf-8"))
        return report


@pytest.fixture
def bench(server: InMemory, tmp_path: Path) -> Bench:
    """The command, to run against `server`."""
    return Bench(server.served.address, tmp_path)


def statuses(report: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(each["status"], each["reason"]): each["utterances"] for each in report["total"]["by_status"]}


def times_over(report: dict[str, Any], seconds: float) -> float:
    """How many latencies are over so many seconds, by the encoded histogram."""
    histogram = Histogram.decode(report["total"]["latency"]["hdr"]["data"])
    low, high = 0.0, 100.0
    for _ in range(30):  # the percentile at which `seconds` lies
        middle = (low + high) / 2
        low, high = (middle, high) if histogram.percentile(middle) <= seconds else (low, middle)
    return histogram.count * (1 - low / 100)


@pytest.mark.parametrize("load", [["--concurrency", "4"], ["--rate", "400"]], ids=["closed", "open"])
@pytest.mark.parametrize(
    ("shape", "each"),
    [(["unary"], 1), (["batch", "--batch-size", "5"], 5), (["stream", "--streams", "3"], 1)],
    ids=["unary", "batch", "stream"],
)
async def test_each_send_is_counted_once(
    server: InMemory, bench: Bench, load: list[str], shape: list[str], each: int
) -> None:
    code, report = await bench.run("--requests", "120", "--processes", "2", *load, "--shape", *shape)

    assert code == 0
    assert report["total"]["sent"] == report["total"]["latency"]["count"] == 120
    assert statuses(report) == {("OK", ""): 120 * each}
    assert len(server.engine.prompts) == 120 * each
    assert [report[key] for key in ("unsent", "unfinished", "lost", "answered_twice")] == [0, 0, 0, 0]
    assert report["total"]["outcomes_sampled"]
    assert [process["sent"] for process in report["processes"]] == [60, 60]
    assert sum(second["sent"] for second in report["series"]) == 120


async def test_the_warm_up_is_sent_and_not_counted(server: InMemory, bench: Bench) -> None:
    code, report = await bench.run("--rate", "100", "--arrivals", "constant", "--warm-up", "1", "--duration", "1500ms")

    assert code == 0
    assert report["total"]["sent"] == report["total"]["latency"]["count"] == 150
    assert len(server.engine.prompts) == 250
    assert [second["phase"] for second in report["series"]][:2] == ["warm-up", "window"]
    assert report["window_s"] == 1.5
    assert report["sent_per_s"] == pytest.approx(100.0, rel=0.1)  # one that begins late may be left out


async def test_refusals_are_counted_by_status_and_reason(start_in_memory: StartInMemory, tmp_path: Path) -> None:
    server = await start_in_memory(max_in_flight=1, max_batch_size=1)
    bench = Bench(server.served.address, tmp_path)
    server.engine.hold()

    code, report = await bench.run("--requests", "20", "--concurrency", "4", "--timeout", "1")

    found = statuses(report)
    assert found["RESOURCE_EXHAUSTED", "OVERLOADED"] >= 16
    assert sum(found.values()) == report["total"]["errors"] == report["total"]["failed_latency"]["count"] == 20
    assert report["total"]["latency"]["count"] == 0
    assert code == 1
    assert report["failures"] == ["nothing was answered"]


async def test_a_stall_is_seen_by_all_who_would_have_been_served_in_it(
    start_in_memory: StartInMemory, tmp_path: Path
) -> None:
    """A hundred sends a second, held for a second: about a hundred latencies, spread evenly from 0 to 1 s."""
    server = await start_in_memory(**PATIENT)
    bench = Bench(server.served.address, tmp_path)
    running = asyncio.ensure_future(bench.run("--rate", "100", "--arrivals", "constant", "--duration", "5"))
    while len(server.engine.prompts) < 100:  # noqa: ASYNC110  # polled, as the engine tells nobody
        await asyncio.sleep(0.005)
    held = time.monotonic()
    server.engine.hold()
    await asyncio.sleep(1.0)
    server.engine.release()
    stall_s = time.monotonic() - held
    _, report = await running

    assert report["total"]["latency"]["count"] == 500
    for share in (0.2, 0.5, 0.8):  # of those sent while it was held, this share waits longer than the rest of the stall
        expected = 100 * stall_s * share
        assert times_over(report, stall_s * (1 - share)) == pytest.approx(expected, rel=0.2, abs=5)
    assert report["total"]["latency"]["max"] == pytest.approx(stall_s, rel=0.2)
    assert report["total"]["held_back"] == 0


async def test_sends_beyond_the_bound_are_told_as_the_generator_s_limit(
    start_in_memory: StartInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = await start_in_memory(**PATIENT)
    server.engine.hold()
    asyncio.get_running_loop().call_later(3.0, server.engine.release)
    bench = Bench(server.served.address, tmp_path)
    arguments = ("--rate", "100", "--arrivals", "constant", "--duration", "1", "--max-outstanding", "10")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args([each for each in bench.arguments(*arguments) if each != BUSY_MACHINE])

    code = await asyncio.to_thread(command.run, options)

    report, said = bench.report(), " ".join(capsys.readouterr().out.split())
    assert code == LIMITED == report["exit_code"]
    assert report["limited_by_generator"]
    assert report["withheld"]
    assert not {"total", "series", "answered_per_s"} & set(report)
    assert report["processes"][0]["cpu"] > 0.0
    assert "the generator was the bottleneck: 90 sends waited for a place" in said
    assert "figures say nothing of the server, and are withheld" in said
    assert "goodput" not in said


async def test_thresholds_decide_the_exit_code(server: InMemory, bench: Bench) -> None:
    few = ("--requests", "20", "--concurrency", "2")
    assert (await bench.run(*few, "--max-p99", "1m", "--max-errors", "0"))[0] == 0
    code, report = await bench.run(*few, "--max-p99", "1us")
    assert code == FAILED
    assert len(report["failures"]) == 1
    server.engine.fault = RuntimeError("broken on purpose")
    code, report = await bench.run(*few, "--max-errors", "19")
    assert code == FAILED
    assert statuses(report) == {("INTERNAL", "INTERNAL"): 20}


async def test_nobody_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench("127.0.0.1:1", tmp_path)
    code, report = await bench.run("--requests", "2", "--processes", "2", "--concurrency", "2", "--wait", "300ms")
    assert code == FAILED
    assert report["total"]["sent"] == 0
    assert "no server answers at 127.0.0.1:1" in capsys.readouterr().out


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("shape", ["unary", "stream"])
async def test_stopped_it_reports_what_was_measured(bench: Bench, shape: str, sent: signal.Signals) -> None:
    endless = ("--rate", "100", "--duration", "10m", "--processes", "2", "--shape", shape, "--streams", "2")
    async with bench.started(*endless) as process:
        assert process.stderr is not None
        line = await process.stderr.readline()
        process.send_signal(sent)
        out, err = await process.communicate()

    report = bench.report()
    assert line.startswith(b"second 0  phase window")
    assert process.returncode == 0, err
    assert b"interrupted: this is what was measured until then" in out
    assert b"Traceback" not in err
    assert report["interrupted"]
    assert report["total"]["latency"]["count"] >= 50
    assert report["unfinished"] == report["lost"] == 0


async def test_stopped_it_waits_for_what_is_under_way_and_sends_nothing_more(server: InMemory, bench: Bench) -> None:
    slow = ("--rate", "100", "--duration", "10m", "--timeout", "2s", "--max-outstanding", "4", "--allow-limited")
    async with bench.started(*slow) as process:
        assert process.stderr is not None
        await process.stderr.readline()
        server.engine.hold()
        await server.engine.wait_running(4)
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    report = bench.report()
    failed = {each["status"]: each["utterances"] for each in report["total"]["by_status"] if each["status"] != "OK"}
    assert failed == {"DEADLINE_EXCEEDED": 4}
    assert report["unfinished"] == 0


async def test_a_process_that_dies_is_named_and_what_it_counted_is_kept(bench: Bench) -> None:
    async with bench.started("--rate", "100", "--duration", "10m", "--processes", "2") as process:
        assert process.stderr is not None
        await process.stderr.readline()
        first, *_ = sorted(psutil.Process(process.pid).children(), key=lambda child: child.create_time())
        first.kill()
        out, _ = await process.communicate()

    report = bench.report()
    assert process.returncode == FAILED
    assert report["failures"] == ["process 1: was killed by signal 9"]
    assert b"failed: process 1: was killed by signal 9" in out
    assert all(each["sent"] > 0 for each in report["processes"])


async def test_processes_end_with_their_parent(bench: Bench) -> None:
    async with bench.started("--rate", "100", "--duration", "10m", "--processes", "2") as process:
        assert process.stderr is not None
        await process.stderr.readline()
        children = psutil.Process(process.pid).children()
        process.kill()
        await process.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=20)

    assert len(children) == 2
    assert alive == []


async def test_nothing_said_and_no_secret_is_in_what_comes_out(
    server: InMemory, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = tmp_path / "said.txt"
    said.write_text("a text that nobody may read\n", encoding="utf-8")
    bench = Bench(server.served.address, tmp_path)

    _, report = await bench.run(
        *("--requests", "40", "--utterances", str(said), "--metadata", "x-key=hush", "--progress", "lines")
    )

    shown = "".join(capfd.readouterr()) + json.dumps(report)
    assert "nobody may read" not in shown
    assert "hush" not in shown
    assert report["options"]["metadata_keys"] == ["x-key"]
    assert set(server.engine.prompts) == {tuple(bundle.encoder.encode("a text that nobody may read", []).token_ids)}


async def test_with_json_on_stdout_the_summary_goes_to_stderr(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args(bench.arguments("--requests", "10", "--json", "-"))

    await asyncio.to_thread(command.run, options)

    said = capsys.readouterr()
    assert json.loads(said.out)["total"]["sent"] == 10
    assert "goodput" in said.err


@pytest.mark.parametrize("raw", [False, True], ids=["library", "raw"])
async def test_streams_of_the_library_outlive_the_end_of_a_stream_and_raw_ones_tell_of_it(
    start_in_memory: StartInMemory, tmp_path: Path, raw: bool
) -> None:
    server = await start_in_memory(stream_max_age=0.5)
    bench = Bench(server.served.address, tmp_path)

    code, report = await bench.run(
        *("--shape", "stream", "--streams", "3", "--rate", "200", "--duration", "2"), *["--raw-streams"][: int(raw)]
    )

    found = statuses(report)
    assert sum(found.values()) == report["total"]["sent"]
    assert (report["lost"], report["answered_twice"], code) == (0, 0, 0)
    assert set(found) >= ({("OK", ""), ("UNAVAILABLE", "STREAM_ENDED")} if raw else {("OK", "")})
    assert (report["total"]["errors"] > 0) is raw


@pytest.mark.parametrize("shape", [["unary"], ["unary", "--retry"], ["stream", "--streams", "6"]])
async def test_each_connection_is_one_of_its_own(server: InMemory, bench: Bench, shape: list[str]) -> None:
    port = int(server.served.address.rpartition(":")[2])
    ours = psutil.Process()
    async with bench.started("--rate", "50", "--duration", "10m", "--connections", "3", "--shape", *shape) as process:
        assert process.stderr is not None
        await process.stderr.readline()
        open_now = [
            each for each in ours.net_connections("tcp") if each.laddr.port == port and each.status == "ESTABLISHED"
        ]
        process.send_signal(signal.SIGINT)
        await process.communicate()

    assert len(open_now) == 3
    assert bench.report()["total"]["errors"] == 0


@pytest.mark.parametrize("shape", [["unary"], ["unary", "--retry"], ["stream"], ["stream", "--raw-streams"]])
async def test_it_shows_a_certificate_and_a_token(
    start_in_memory: StartInMemory, tmp_path: Path, shape: list[str]
) -> None:
    authority, files = trustme.CA(), ServerFiles(tmp_path)
    files.write(issue(authority))
    caller = issue(authority, "bench")
    for name, content in (
        ("ca.crt", authority.cert_pem.bytes()),
        ("caller.crt", caller.chain),
        ("caller.key", caller.key),
    ):
        replace(tmp_path / name, content)
    replace(tmp_path / "token", b"token of the test\n")
    replace(tmp_path / "tokens", f"bench {hashlib.sha256(b'token of the test').hexdigest()}\n".encode())
    server = await start_in_memory(**files.settings, tls_client_ca=tmp_path / "ca.crt", token_file=tmp_path / "tokens")
    bench = Bench(server.served.address.replace("127.0.0.1", SERVER_NAME), tmp_path)
    secured = ["--ca", str(tmp_path / "ca.crt"), "--certificate", str(tmp_path / "caller.crt")]
    secured += ["--key", str(tmp_path / "caller.key"), "--token-file", str(tmp_path / "token")]

    code, report = await bench.run("--requests", "20", "--concurrency", "2", *secured, "--shape", *shape)

    assert code == 0
    assert statuses(report) == {("OK", ""): 20}
    assert report["options"]["tls"]
