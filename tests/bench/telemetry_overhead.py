"""Tells what telemetry costs: the same load on servers that differ in their telemetry alone, turn by turn in one run.

    python tests/bench/telemetry_overhead.py [--real-engine] [--seconds 3] [--rounds 6] [--by-throughput | --by-machine]

All servers run from the start; each round loads one after the other, in an order that changes. Two of them have no
telemetry: what differs between these is chance, and that of two engine processes. The others are held against both
together, and these against each other. The steadiest figures are CPU times of a call, the lower quartile of all turns:
that of the front-end process bounds what one process can serve; that of all the server's processes, engine included,
bounds what cores can serve that they share (--by-machine judges that). Throughput of the closed loop is told too
(--by-throughput judges it). Turns in which the generator was the limit are left out; no server may have more than half
of them. Flags that it does not know go to the servers. A table goes to standard error, JSON to standard out.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.in_memory_server import in_memory_server
from support.load import generate
from support.paced_engine import Pace
from support.paths import BUNDLE
from support.server_process import running_server

OFF = ("off", "off again")
JUDGED = ("metrics", "default", "all on")
LEAST_THROUGHPUT = 0.95  # of that without telemetry
_LEFT_OUT = 0.5  # share of a server's turns at most
_DEVIATIONS = 1.96  # of a mean, for 95 %; with few rounds the interval is somewhat narrow
_COLLECTOR = [sys.executable, "-m", "support.otlp_collector"]


@dataclass(slots=True)
class Variant:
    """A server, and what was measured of it in each round."""

    name: str
    flags: tuple[str, ...]
    address: str = ""
    pid: int = 0
    cpu_us: list[float] = field(default_factory=list)
    all_cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    limits: list[tuple[str, ...]] = field(default_factory=list)

    def measure(self, options: argparse.Namespace) -> None:
        """Loads it for a round."""
        process = psutil.Process(self.pid)
        processes = [process, *process.children(recursive=True)]
        before = [_busy_s(each) for each in processes]
        flags = ("--concurrency", str(options.concurrency), "--warm-up", "0s", "--connections", "2")
        measured = generate(self.address, options.seconds, *flags)
        after = [_busy_s(each) for each in processes]
        answered = measured.by_status.get("OK", 0)
        if not answered or len(measured.by_status) > 1:
            raise RuntimeError(f"{self.name}: not all was answered: {measured.by_status}")
        self.cpu_us.append((after[0] - before[0]) / answered * 1e6)
        self.all_cpu_us.append((sum(after) - sum(before)) / answered * 1e6)
        self.per_s.append(measured.goodput)
        self.p99_ms.append(measured.p99 * 1e3)
        self.limits.append(measured.limits)

    def __str__(self) -> str:
        return f"{self.name} {self.cpu_us[-1]:.0f} us {self.per_s[-1]:.0f}/s"

    def kept(self, values: list[float]) -> list[float]:
        """Of one for each turn, those of turns in which the generator was not the limit; all, if not two are."""
        kept = [value for value, limits in zip(values, self.limits, strict=True) if not limits]
        return kept if len(kept) > 1 else values

    def result(self, off: Sequence["Variant"]) -> dict[str, Any]:
        """What a call costs where others disturbed least; medians of the rest, throughput as a ratio in each round.

        Args:
            off: Those without telemetry, but for this one.
        """
        cpu_us, all_cpu_us = _low(self.kept(self.cpu_us)), _low(self.kept(self.all_cpu_us))
        off_cpu_us = _low([us for each in off for us in each.kept(each.cpu_us)])
        off_all_cpu_us = _low([us for each in off for us in each.kept(each.all_cpu_us)])
        off_per_s = [statistics.mean(turns) for turns in zip(*(each.per_s for each in off), strict=True)]
        return {
            "cpu_us_per_call": round(cpu_us, 1),
            "cpu_us_more": round(cpu_us - off_cpu_us, 1),
            "throughput_by_cpu": round(off_cpu_us / cpu_us, 4),
            "all_cpu_us": round(all_cpu_us, 1),
            "by_all_cpu": round(off_all_cpu_us / all_cpu_us, 4),
            "per_s": round(statistics.median(self.kept(self.per_s)), 1),
            **_interval(self.kept(_ratios(self.per_s, off_per_s))),
            "p99_ms": round(statistics.median(self.kept(self.p99_ms)), 2),
            "left_out": round(sum(map(bool, self.limits)) / len(self.limits), 3),
        }


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    with contextlib.ExitStack() as stack:
        variants = _variants(stack.enter_context(_collector()), options)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with ThreadPoolExecutor(options.start_at_once) as pool:
            list(pool.map(lambda variant: _start(variant, folder, options, stack), variants))
        for number in range(-1, options.rounds):
            for variant in variants[number % len(variants) :] + variants[: number % len(variants)]:
                variant.measure(options)
            sys.stderr.write(f"round {number}: " + ", ".join(map(str, variants)) + "\n")
            if number < 0:  # the first round warms up
                for variant in variants:
                    for values in (variant.cpu_us, variant.all_cpu_us, variant.per_s, variant.p99_ms, variant.limits):
                        values.clear()
    off = [variant for variant in variants if variant.name in OFF]
    results = {each.name: each.result([other for other in off if other is not each]) for each in variants}
    verdict = _verdict(results, options)
    good = all(value for name, value in verdict.items() if name != "decided")
    _table(results)
    report = {"engine": "vllm" if options.real_engine else "memory", "rounds": options.rounds, "variants": results}
    sys.stdout.write(json.dumps({**report, "verdict": verdict, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _verdict(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> dict[str, bool]:
    judged = [results[name] for name in JUDGED]
    verdict = {"enough_turns_are_left": all(each["left_out"] <= _LEFT_OUT for each in results.values())}
    if options.by_machine:
        return verdict | {"all_cpu_within_5_percent": all(_is_enough(each["by_all_cpu"]) for each in judged)}
    if not options.by_throughput:
        return verdict | {"cpu_within_5_percent": all(_is_enough(each["throughput_by_cpu"]) for each in judged)}
    return verdict | {
        "throughput_within_5_percent": all(_is_enough(each["throughput_high"]) for each in judged),
        "decided": not any(each["throughput_low"] < LEAST_THROUGHPUT <= each["throughput_high"] for each in judged),
    }


def _is_enough(share: float) -> bool:
    return share >= LEAST_THROUGHPUT


def _interval(ratios: list[float]) -> dict[str, float]:
    """The mean of the rounds' ratios, and where it lies by chance in 95 of 100 runs."""
    mean = statistics.mean(ratios)
    within = _DEVIATIONS * statistics.stdev(ratios) / math.sqrt(len(ratios))
    figures = {"throughput": mean, "throughput_low": mean - within, "throughput_high": mean + within}
    return {name: round(figure, 4) for name, figure in figures.items()}


def _variants(endpoint: str, options: argparse.Namespace) -> list[Variant]:
    traced = ("--otlp-endpoint", endpoint)
    ratios = [Variant(f"traces {ratio:g}", (*traced, "--trace-sample-ratio", f"{ratio:g}")) for ratio in options.ratio]
    return [
        *(Variant(name, ("--admin-address", "")) for name in OFF),
        Variant("metrics", ()),
        Variant("default", (*traced, "--otlp-metrics")),
        Variant("all on", (*traced, "--otlp-metrics", "--load-reports", "--log-format", "json")),
        *ratios,
    ]


def _start(variant: Variant, folder: Path, options: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    place = folder / variant.name.replace(" ", "-")
    place.mkdir()
    flags = (*variant.flags, *options.server_flags)
    if options.real_engine:
        real = stack.enter_context(running_server(options.bundle, place, *flags))
        variant.address, variant.pid = real.address, real.process.pid
    else:
        pace = Pace(options.step_ms / 1e3, options.concurrency)
        server = stack.enter_context(in_memory_server(place, *flags, pace=pace, bundle=options.bundle))
        variant.address, variant.pid = server.address, server.process.pid


@contextlib.contextmanager
def _collector() -> Iterator[str]:
    """A collector in a process of its own; yields its URL."""
    with subprocess.Popen(_COLLECTOR, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _low(values: list[float]) -> float:
    """The lower quartile: others on the machine can only add to what a call costs."""
    return statistics.quantiles(values, n=4)[0]


def _ratios(numerators: list[float], denominators: list[float]) -> list[float]:
    return [numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True)]


def _table(results: dict[str, dict[str, Any]]) -> None:
    columns = list(next(iter(results.values())))
    sys.stderr.write(f"{'':12}" + "".join(f"{name:>19}" for name in columns) + "\n")
    for name, result in results.items():
        sys.stderr.write(f"{name:12}" + "".join(f"{result[column]:>19}" for column in columns) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real-engine", action="store_true", help="start servers with vLLM, one for each variant")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--step-ms", type=float, default=1.0, help="of the engine in memory (default: %(default)s)")
    parser.add_argument("--ratio", type=float, nargs="*", default=[0.1, 1.0], help="sampled shares to measure as well")
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument("--by-throughput", action="store_true", help="judge the closed loop's throughput")
    judged.add_argument(
        "--by-machine", action="store_true", help="judge the CPU time of all processes, the engine's too"
    )
    parser.add_argument(
        "--start-at-once", type=int, default=max(1, (os.cpu_count() or 1) // 4), help="servers (default: %(default)s)"
    )
    options, server_flags = parser.parse_known_args()
    options.server_flags = server_flags
    return options


if __name__ == "__main__":
    sys.exit(main())
