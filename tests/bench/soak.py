"""Loads a server for long, with everything on, and tells whether its memory stays flat.

    python tests/bench/soak.py [--minutes 20] [--load 0.7] [--real-engine] [--warm-up 0] [--kill-collector]

Finds the rate that the server sustains, the highest of an open loop at which 99 of 100 calls are answered within
--max-wait (a closed loop finds more, on a machine that nobody else uses just then), and offers that share of it, half
by single calls and half by items of streams. --warm-up minutes of the same load go before, uncounted: vLLM on a CPU
takes some 10 to touch all the memory that it uses from then on. Traces, metrics and load reports are on; they go to a
collector, which --kill-collector kills midway. Flags that it does not know go to the server. Prints JSON, and a line a
minute on standard error; exits with 1 if the verdict is not good.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_server.settings import Settings
from support.in_memory_server import InMemoryServer, in_memory_server
from support.load import Load, Measured, rate_within, verdict_of
from support.paced_engine import Pace
from support.paths import BUNDLE, ROOT
from support.server_process import running_server
from support.usage import Usage

FLAT = 0.02  # growth of resident memory, in a quarter of the time or more, that counts as none
ANSWERED = 0.999  # share of utterances
_SAMPLES = 240  # in all
_SLO = f"p99={Settings.model_fields['max_wait'].default:g}s"


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, _collector() as (endpoint, collector):
        flags = ("--otlp-endpoint", endpoint, "--otlp-metrics", "--load-reports", *options.server_flags)
        with _server(options, Path(folder), flags) as (address, pid, log, server):
            sustained = rate_within(address, _SLO, "--duration", "5s", "--warm-up", "2s")
            rate = options.load * sustained
            sys.stderr.write(f"sustains {sustained:.1f} a second; offering {rate:.1f}\n")
            if options.warm_up:
                _load(address, rate, options.warm_up)
            before = server.inside() if server else None
            usage, loads = _soak(address, pid, rate, collector, options)
            after = server.inside() if server else None
        errors = [line for line in log.read_text(errors="replace").splitlines() if " ERROR " in line]
        if options.kill_collector:  # that it cannot be reached shall be told
            errors = [line for line in errors if " opentelemetry." not in line]
    growth = _growth(usage, options)
    verdict = {
        "memory_is_flat": max(growth.values()) < FLAT,
        "answered": all(run.refused_share <= 1 - ANSWERED for run in loads.values()),
        "fds_are_flat": usage.samples[-1].fds <= usage.samples[len(usage.samples) // 4].fds + 2,
        "nothing_lost": all(run.report["lost"] == run.report["answered_twice"] == 0 for run in loads.values()),
        "no_error_logged": not errors,
        **verdict_of(loads.values()),
    }
    report = {
        "minutes": options.minutes,
        "rate": round(rate, 1),
        "rss_mib": usage.rss_mib(),
        "rss_growth": {when: round(share, 4) for when, share in growth.items()},
        "held": {"before": str(before), "after": str(after)},
        "by_minute": _by_minute(usage, loads),
        "loads": {name: run.brief() for name, run in loads.items()},
        "errors_logged": errors[:20],
        "verdict": verdict,
        "good": all(verdict.values()),
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


def _soak(
    address: str, pid: int, rate: float, collector: "subprocess.Popen[str]", options: argparse.Namespace
) -> tuple[Usage, dict[str, Measured]]:
    seconds = 60 * options.minutes
    usage = Usage(pid, every_s=max(0.5, seconds / _SAMPLES))
    death = threading.Timer(seconds / 2, collector.kill)
    if options.kill_collector:
        death.start()
    with usage.sampled():
        measured = _load(address, rate, options.minutes)
    death.cancel()
    return usage, measured


def _load(address: str, rate: float, minutes: float) -> dict[str, Measured]:
    half = ("--rate", f"{rate / 2:.1f}", "--timeout", "10s", "--connections", "2")
    loads = {
        "calls": Load(address, 60 * minutes, half),
        "items": Load(address, 60 * minutes, (*half, "--shape", "stream", "--streams", "8", "--seed", "1")),
    }
    return {name: load.result() for name, load in loads.items()}


def _growth(usage: Usage, options: argparse.Namespace) -> dict[str, float]:
    """Growth of memory by when. The death of the collector is a step, of what waits to be sent to it: its queue."""
    seconds = 60 * options.minutes
    if not options.kill_collector:
        return {"after the first quarter": usage.growth(seconds / 4)}
    return {
        "from the first quarter to the collector's death": usage.growth(seconds / 4, seconds / 2),
        "in the last quarter": usage.growth(seconds * 3 / 4),
    }


def _by_minute(usage: Usage, loads: dict[str, Measured]) -> list[dict[str, Any]]:
    """Of each minute: memory, descriptors, threads, what share of the processors the host gave to others, what was not
    answered, and the latencies of its median second, in milliseconds, and the worst one's.
    """
    minutes = []
    for minute in range(int(usage.samples[-1].at_s // 60) + 1):
        samples = [sample for sample in usage.samples if sample.at_s // 60 == minute]
        line: dict[str, Any] = {"minute": minute + 1}
        if samples:
            first, last = samples[0], samples[-1]
            line |= {"rss_mib": round(last.rss / 2**20, 1), "fds": last.fds, "threads": last.threads}
            wanted_s = (last.at_s - first.at_s) * (os.cpu_count() or 1)
            line["stolen"] = round((last.stolen_s - first.stolen_s) / wanted_s, 4) if wanted_s else 0.0
        for name, run in loads.items():
            seconds = [each for each in run.report["series"] if each["second"] // 60 == minute and each["sent"]]
            if not seconds:
                continue
            for figure in ("p50", "p99"):
                median = statistics.median(each["latency"][figure] for each in seconds)
                line[f"{name}_{figure}_ms"] = round(median * 1e3, 1)
            line[f"{name}_worst_p99_ms"] = round(max(each["latency"]["p99"] for each in seconds) * 1e3, 1)
            statuses = [status for each in seconds for status in each["by_status"]]
            line[f"{name}_not_answered"] = sum(each["utterances"] for each in statuses if each["status"] != "OK")
        minutes.append(line)
        sys.stderr.write(f"{json.dumps(line)}\n")
    return minutes


@contextlib.contextmanager
def _collector() -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    """A collector of its own: its URL and its process."""
    command = [sys.executable, "-m", "support.otlp_collector"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT / "tests")
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _server(
    options: argparse.Namespace, folder: Path, flags: tuple[str, ...]
) -> Iterator[tuple[str, int, Path, InMemoryServer | None]]:
    """Address, process and log of the server; and the server, if its engine is in memory."""
    if options.real_engine:
        with running_server(BUNDLE, folder, *flags) as real:
            yield real.address, real.process.pid, real.log, None
    else:
        with in_memory_server(folder, *flags, pace=Pace(options.step_ms / 1e3, options.batch)) as server:
            yield server.address, server.process.pid, server.log, server


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=0.0, metavar="MINUTES", help="of load before it counts")
    parser.add_argument("--load", type=float, default=0.7, help="share of the sustainable rate (default: %(default)s)")
    parser.add_argument("--real-engine", action="store_true", help="start a server with vLLM")
    parser.add_argument("--kill-collector", action="store_true", help="kill the collector midway")
    parser.add_argument("--step-ms", type=float, default=20.0, help="of the engine in memory (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="prompts of a step (default: %(default)s)")
    options, server_flags = parser.parse_known_args()
    options.server_flags = server_flags
    return options


if __name__ == "__main__":
    sys.exit(main())
