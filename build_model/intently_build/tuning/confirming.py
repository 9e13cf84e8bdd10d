"""The last measurement: a server that reads the profile, at the rate that it promises and at twice as much."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.tuning.bench import Bench, Step
from intently_build.tuning.servers import Servers
from intently_build.tuning.target import Slo

OVERLOAD = 2  # times the rate


@dataclass(frozen=True)
class Confirmation:
    """What was seen.

    Attributes:
      promised, overload: the two rates.
      failures: why the profile is not confirmed; none if it is.
      machine, vllm: what computed, in the server's own words.
    """

    promised: Step
    overload: Step
    failures: tuple[str, ...]
    machine: str
    vllm: str


def confirm(servers: Servers, bench: Bench, profile: Path, slo: Slo, rate: float, max_wait_s: float) -> Confirmation:
    """Measures both rates, on one server. Raises BuildError if it does not start, or if the generator was the limit."""
    with servers.serving([f"--profile={profile}"]) as server:
        promised, overload = bench.at(server.address, rate, OVERLOAD * rate)
    failures = judge(promised, overload, slo, max_wait_s)
    return Confirmation(promised, overload, failures, server.machine, server.vllm)


def judge(promised: Step, overload: Step, slo: Slo, max_wait_s: float) -> tuple[str, ...]:
    """Returns what is against the profile: at its rate the latency must be kept, with next to no failures.

    At twice that rate, calls that were taken must be answered within max_wait (by the same percentile), and others
    refused: any other failure counts against it.
    """
    found = []
    name = f"p{slo.percent}"
    if not promised.keeps(slo):
        found.append(
            f"at {promised.rate:.4g}/s {name} was {promised.percentile_s * 1e3:.1f} ms, and of {promised.sent} calls "
            f"{promised.refused} were refused and {promised.failed} failed"
        )
    if overload.percentile_s > max_wait_s:
        found.append(
            f"at {overload.rate:.4g}/s {name} of those that were taken was {overload.percentile_s * 1e3:.1f} ms, over "
            f"max_wait, {max_wait_s * 1e3:g} ms"
        )
    if overload.failed:
        found.append(f"at {overload.rate:.4g}/s {overload.failed} calls of {overload.sent} failed, not refused")
    if not overload.goodput:
        found.append(f"at {overload.rate:.4g}/s nothing was answered")
    return tuple(found)
