"""Fuzzes the wire: Hypothesis makes cases of all that can come over it, for as long as it is told.

    python tests/bench/fuzz_wire.py [--minutes 10] [--seed N] [--failures FILE] [--bad-paths]
    python tests/bench/fuzz_wire.py --replay FILE

Cases are messages to every method, valid and broken; conversations on streams; gRPC's framing; metadata; HTTP/2's
frames; and garbage. They go in volleys, over real sockets, to a server in a process of its own whose engine is in
memory, while `intently bench` sends it ordinary calls. Round n of a seed is the same in every run.

A volley that does harm is written to FILE at once, as bytes in hexadecimal digits, and again whenever a shorter one was
found that does the same; --replay sends what the file has to a fresh server, and prints what comes back.

Prints a line now and then on standard error, and JSON at the end. Exits with 1 for a crash, a call or a connection that
has no end, a status INTERNAL or UNKNOWN, an ERROR in the log, health that is not SERVING afterwards, something that is
held for good, memory that grew by a tenth since a tenth of the time had passed, or harm to the ordinary calls. INTERNAL
that gRPC's core says of bytes that are no gRPC, before the server's code hears of a call, is told apart.

One case is left out, unless --bad-paths asks for it: a :path that is no UTF-8. grpc.aio 1.85 cannot decode it in the
loop that takes calls, before any code of the server's, and ends its server with all calls that are under way. Ours
listens again (ADR 18), but ordinary calls are cut off meanwhile, and gRPC logs an error: that verdict is no.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_server.bundle import load_bundle
from intently_server.model import Model
from support.fuzz.findings import FailureFile
from support.fuzz.fuzzed_server import FuzzedServer
from support.fuzz.messages import words_of
from support.fuzz.wire_fuzz import WireFuzz
from support.hostile.normal import Latency, normal_caller
from support.hostile.ordeal import at_rest_again
from support.in_memory_server import Inside
from support.load import Load, Measured
from support.paths import BUNDLE

_RATE = 20  # ordinary calls a second
_CALLS = 200
_DURING_P99_S = 2.0  # of two cores that the fuzz, the server and the ordinary calls share
_SLOWER, _SLOWER_S = 1.5, 0.005  # afterwards, than the median before
_RSS_GROWTH = 0.1
_TELL_EVERY_S = 10.0
_SHOWN = 20
_TIMEOUT_S = 20.0


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    model = load_bundle(BUNDLE).model
    with tempfile.TemporaryDirectory() as folder, FuzzedServer(Path(folder)) as server:
        if options.replay:
            return _replay(server, options.replay, model)
        report = _fuzz(server, model, options)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["good"] else 1


def _fuzz(server: FuzzedServer, model: Model, options: argparse.Namespace) -> dict[str, Any]:
    seconds, normal = 60 * options.minutes, normal_caller(model, server.process.address)
    calm = asyncio.run(normal.calls(_CALLS))
    cold = server.process.inside()
    load = Load(server.process.address, seconds, ("--rate", str(_RATE), "--timeout", "10s"))
    seed, failures = str(options.seed), FailureFile(options.failures)
    with WireFuzz(server, seed, words_of(model), failures, bad_paths=options.bad_paths) as fuzz:
        begun = time.monotonic()
        rounds, warm = _rounds(fuzz, server, begun, seconds)
        took = time.monotonic() - begun
    ordinary = load.result()
    held, after = _held(server, cold)
    afterwards, serving = _afterwards(server, model)
    findings = fuzz.findings
    code = server.process.terminate()
    growth = after.rss / warm.rss - 1
    verdict = {
        "no_fault": not findings.faults,
        "no_crash": not server.deaths and code == 0,
        "healthy_afterwards": serving,
        "nothing_held": not held,
        "memory_is_flat": growth < _RSS_GROWTH,
        "ordinary_calls_were_answered": not ordinary.failures and ordinary.p99 <= _DURING_P99_S,
        "ordinary_calls_are_as_before": afterwards is not None and afterwards.p50 <= _SLOWER * calm.p50 + _SLOWER_S,
    }
    return {
        "seed": options.seed,
        "bad_paths": options.bad_paths,
        "seconds": round(took, 1),
        "rounds": rounds,
        "volleys": findings.volleys,
        "cases": findings.cases.total(),
        "cases_by_kind": dict(sorted(findings.cases.items())),
        "cases_per_s": round(findings.cases.total() / took, 1),
        "statuses": dict(sorted(findings.statuses.items())),
        "said_by_grpc_core": dict(findings.of_the_core.most_common()),
        "said_by_the_client": findings.of_the_client,
        "faults": [fault.to_fields() for fault in list(findings.faults.values())[:_SHOWN]],
        "faults_in_all": dict(findings.times),
        "failures_file": str(options.failures) if findings.faults else None,
        "deaths": Counter(server.deaths),
        "exit_code": code,
        "rss_mib": {name: _mib(inside) for name, inside in (("cold", cold), ("warm", warm), ("after", after))},
        "rss_growth": round(growth, 4),
        "held": {"before": str(cold), "after": str(after), "fault": held},
        "ordinary_calls": _ordinary(calm, ordinary, afterwards),
        "verdict": verdict,
        "good": all(verdict.values()),
    }


def _rounds(fuzz: WireFuzz, server: FuzzedServer, begun: float, seconds: float) -> tuple[int, Inside]:
    """Fuzzes for so long. Returns how many rounds that were, and what the server held after a tenth of the time."""
    number, warm, told = 0, None, begun
    while (now := time.monotonic()) < begun + seconds:
        if warm is None and now >= begun + seconds / 10:
            warm = server.process.inside()
        if now >= told + _TELL_EVERY_S:
            told = now
            _tell(fuzz, server, number, now - begun)
        fuzz.round(number, begun + seconds)
        number += 1
    _tell(fuzz, server, number, time.monotonic() - begun)
    return number, warm or server.process.inside()


def _tell(fuzz: WireFuzz, server: FuzzedServer, rounds: int, seconds: float) -> None:
    rss, kinds = server.process.rss() / 2**20, len(fuzz.findings.faults)
    cases = ", ".join(f"{number} {kind}" for kind, number in sorted(fuzz.findings.cases.items()))
    sys.stderr.write(f"{seconds:.0f} s: {rounds} rounds; {cases}; {kinds} kinds of faults; {rss:.0f} MiB\n")


def _held(server: FuzzedServer, cold: Inside) -> tuple[str, Inside]:
    """What is wrong with what the server holds, "" for nothing; and what it holds."""
    try:
        return "", asyncio.run(at_rest_again(server.process, cold))
    except AssertionError as error:
        return str(error), server.process.inside()


def _afterwards(server: FuzzedServer, model: Model) -> tuple[Latency | None, bool]:
    """Latency of a normal caller, if it was answered; and whether the server says that it is well."""
    with grpc.insecure_channel(server.process.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answers = [
            check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT_S)
            for service in ("", "intently.v1.IntentService")
        ]
    serving = all(answer.status == health_pb2.HealthCheckResponse.SERVING for answer in answers)
    try:
        return asyncio.run(normal_caller(model, server.process.address).calls(_CALLS)), serving
    except (AssertionError, grpc.aio.AioRpcError) as error:
        sys.stderr.write(f"a normal caller, afterwards: {error}\n")
        return None, serving


def _ordinary(calm: Latency, during: Measured, afterwards: Latency | None) -> dict[str, Any]:
    return {
        "before_p50_ms": round(calm.p50 * 1e3, 1),
        "during": during.brief(),
        "failures": during.failures,
        "afterwards_p50_ms": round(afterwards.p50 * 1e3, 1) if afterwards else None,
    }


def _replay(server: FuzzedServer, file: Path, model: Model) -> int:
    failures = FailureFile(file)
    with WireFuzz(server, "", words_of(model), failures) as fuzz:
        for fault in failures.faults():
            endings = [[f"{each.what} {each.details}".strip() for each in ends] for ends in fuzz.send(fault.volley)]
            line = {"fault": fault.what, "now": endings, "logged": server.new_errors(), "died": server.died()}
            sys.stdout.write(json.dumps(line) + "\n")
    return 0


def _mib(inside: Inside) -> float:
    return round(inside.rss / 2**20, 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz_wire.failures.jsonl"), metavar="FILE", help="(default: %(default)s)"
    )
    parser.add_argument("--bad-paths", action="store_true", help="cases with a :path that is no UTF-8 too")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send again what a run has kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
