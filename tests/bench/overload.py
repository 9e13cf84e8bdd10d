"""Offers a server up to five times what it can answer, and tells what became of goodput and latency.

    python tests/bench/overload.py [--real-engine [--engine-core N] | --address HOST:PORT] [--envoy] [--greedy]

Without either it starts a server with an engine in memory, whose capacity is --batch prompts every --step-ms. With
--envoy calls come through Envoy, as `make run` sets it up: it sheds what is more than the server's process could even
refuse. Flags that it does not know go to the server. Prints JSON; exits with 1 if the verdict is not good.

On a CPU the engine, the server and this generator share the cores, so that what is refused is paid with what would be
answered. --engine-core gives the engine a core that nobody else uses, as a GPU would be. Where the engine's steps take
long, --seconds must be many of them: a few more or less of them in a closed loop are a tenth of what it measures.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_server.settings import Settings
from support.envoy_in_front import envoy_in_front_of
from support.in_memory_server import in_memory_server
from support.load import Load, Measured, saturate, sustainable_rate, verdict_of
from support.paced_engine import Pace
from support.paths import BUNDLE
from support.server_process import ServerProcess, running_server
from support.usage import Usage

MULTIPLES = (0.5, 1.0, 2.0, 5.0)
LEAST_GOODPUT = 0.9  # of its peak, at the greatest multiple
GREEDY, MODEST = 5.0, 0.1


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address, pid = stack.enter_context(_server(options, folder))
        if options.envoy:
            address = stack.enter_context(_in_front_of(address, options))
        usage = Usage(pid, every_s=0.5)
        with usage.sampled():
            report = _greedy(address, options) if options.greedy else _overload(address, options)
    report |= {"max_wait_s": options.max_wait, "rss_mib": usage.rss_mib()}
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


def _overload(address: str, options: argparse.Namespace) -> dict[str, Any]:
    saturated, rate = _saturate(address, options)
    runs = {}
    for multiple in MULTIPLES:
        runs[multiple] = _open_loop(address, multiple * rate, options).result()
        _tell(f"{multiple:g} x", runs[multiple])
    peak = max(rate, *(each.goodput for each in runs.values()))
    worst = runs[MULTIPLES[-1]]
    verdict = {
        "goodput_kept": worst.goodput >= LEAST_GOODPUT * peak,
        "p99_within_max_wait": all(each.p99 <= options.max_wait for each in runs.values()),
        "nothing_but_refused": all(_refusals_only(each, options) for each in runs.values()),
        **verdict_of(runs.values()),
    }
    return {
        "rate": round(rate, 1),
        "peak_goodput": round(peak, 1),
        "goodput_share_at_most_load": round(worst.goodput / peak, 3),
        "closed_loop": {str(concurrency): each.brief() for concurrency, each in saturated.items()},
        "open_loop": {f"{multiple:g}x": each.brief() for multiple, each in runs.items()},
        "verdict": verdict,
        "good": all(verdict.values()),
    }


def _greedy(address: str, options: argparse.Namespace) -> dict[str, Any]:
    """A connection that asks for five times what there is, beside one that asks for a tenth of it."""
    _, rate = _saturate(address, options)
    options.connections = 1
    alone = _open_loop(address, MODEST * rate, options).result()
    _tell("modest, alone", alone)
    greedy = _open_loop(address, GREEDY * rate, options, "--warm-up", "3s")
    modest = _open_loop(address, MODEST * rate, options, "--warm-up", "3s")
    together = {"greedy": greedy.result(), "modest": modest.result()}
    for name, each in together.items():
        _tell(name, each)
    verdict = {
        "modest_is_answered": together["modest"].refused_share <= 0.01,
        "modest_within_max_wait": together["modest"].p99 <= options.max_wait,
        **verdict_of([alone, *together.values()]),
    }
    return {
        "rate": round(rate, 1),
        "modest_alone": alone.brief(),
        **{name: each.brief() | {"refused_share": round(each.refused_share, 4)} for name, each in together.items()},
        "verdict": verdict,
        "good": all(verdict.values()),
    }


def _saturate(address: str, options: argparse.Namespace) -> tuple[dict[int, Measured], float]:
    """The closed loops, and the rate that the server sustains."""
    runs = saturate(address, max(3.0, options.seconds / 2), "--processes", str(options.processes))
    for concurrency, run in runs.items():
        _tell(f"closed loop of {concurrency}", run)
    return runs, sustainable_rate(runs)


def _open_loop(address: str, rate: float, options: argparse.Namespace, *flags: str) -> Load:
    common = ["--rate", f"{rate:.1f}", "--timeout", f"{options.deadline}s", "--connections", str(options.connections)]
    common += ["--warm-up", "2s", "--seed", str(options.seed), "--processes", str(options.processes)]
    return Load(address, options.seconds, (*common, *flags))


def _refusals_only(run: Measured, options: argparse.Namespace) -> bool:
    """Whether what was not answered was refused for want of room, or of time. Envoy refuses with UNAVAILABLE."""
    refusals = {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", *(["UNAVAILABLE"] if options.envoy else [])}
    return all(status.split()[0] in refusals for status in run.by_status)


@contextlib.contextmanager
def _in_front_of(address: str, options: argparse.Namespace) -> Iterator[str]:
    """Envoy on this server alone; yields the address to call."""
    asked = {"max_concurrent_streams": options.at_once, "max_waiting": options.max_waiting}
    traffic = {name: number for name, number in asked.items() if number}
    with envoy_in_front_of(address, **traffic) as envoy:
        yield envoy.address
        found = envoy.stats(
            "^cluster.blue(-first)?.(upstream_rq_(pending_overflow|retry|per_try_timeout)|upstream_cx_none_healthy"
            "|outlier_detection.ejections_enforced_.+|health_check.failure)$"
        )
        sys.stderr.write(f"envoy: {json.dumps({name: number for name, number in found.items() if number})}\n")


@contextlib.contextmanager
def _server(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, int | None]]:
    """The server's address and, if it runs here, its process."""
    flags = ("--max-wait", str(options.max_wait), *options.server_flags)
    if options.address:
        yield options.address, None
    elif options.real_engine:
        if options.engine_core is not None:
            os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(options.engine_core)
        with running_server(options.bundle, folder, *flags) as real:
            if options.engine_core is not None:
                _set_apart(real, options.engine_core)
            yield real.address, real.process.pid
    else:
        pace = Pace(options.step_ms / 1e3, options.batch)
        with in_memory_server(folder, *flags, pace=pace, bundle=options.bundle) as server:
            yield server.address, server.process.pid
            for line in server.errors_logged():
                sys.stderr.write(f"logged: {line}\n")


def _set_apart(server: ServerProcess, core: int) -> None:
    """Gives the engine's processes this core, and the server and this generator the others."""
    others = os.sched_getaffinity(0) - {core}
    os.sched_setaffinity(0, others)
    for pid, cores in [(server.process.pid, others), *((each.pid, {core}) for each in server.descendants())]:
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, cores)


def _tell(name: str, run: Measured) -> None:
    sys.stderr.write(f"{name}: {json.dumps(run.brief())}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--address", help="HOST:PORT of a server that runs; tell its --max-wait too")
    where.add_argument("--real-engine", action="store_true", help="start a server with vLLM")
    parser.add_argument("--engine-core", type=int, metavar="N", help="with --real-engine: a core for vLLM alone")
    parser.add_argument("--envoy", action="store_true", help="call through Envoy")
    parser.add_argument("--at-once", type=int, help="with --envoy: calls on one connection (default: the release's)")
    parser.add_argument("--max-waiting", type=int, help="with --envoy: calls that wait there (default: the release's)")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--step-ms", type=float, default=20.0, help="of the engine in memory (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="prompts of a step (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--processes", type=int, default=1, help="of the load generator; one sends some 9,000 a second")
    parser.add_argument("--deadline", type=float, default=2.0, help="of each call, in seconds (default: %(default)s)")
    parser.add_argument("--max-wait", type=float, default=Settings.model_fields["max_wait"].default)
    parser.add_argument("--greedy", action="store_true", help="a greedy connection beside a modest one")
    parser.add_argument("--seed", type=int, default=0)
    options, server_flags = parser.parse_known_args()
    options.server_flags = server_flags
    return options


if __name__ == "__main__":
    sys.exit(main())
