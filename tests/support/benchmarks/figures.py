"""Figures out of the records of studies: of each leg on each target, and what a search found."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from intently.bench.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Leg:
    """All rounds of one load on one target, taken together.

    Attributes:
        run: Name of the run of `intently bench`.
        role: What the target is.
        at_once: Calls under way; None in an open loop.
        rate: Sends a second that were asked for; None in a closed loop.
        per_s: Utterances answered a second, the median of the rounds.
        p50_ms, p99_ms: Of the answers of all rounds.
        errors: Utterances without an answer.
        limited: Whether the generator was the limit in a round.
    """

    run: str
    role: str
    at_once: int | None
    rate: float | None
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    limited: bool


@dataclass(frozen=True, slots=True)
class FoundRate:
    """What a search found on one target.

    Attributes:
        role: What the target is.
        per_s: Sends a second at the rate that passed; 0.0 if none did.
        asked: That rate; of Poisson arrivals, now more and now less come.
        failed_above: The lowest rate that failed; None if none did.
        confirmed: Whether it passed each time.
    """

    role: str
    per_s: float
    asked: float
    failed_above: float | None
    confirmed: bool


def legs(runs: Mapping[str, Any]) -> list[Leg]:
    """Of all runs of a record but searches, in the order in which they were measured."""
    found = []
    for name, run in runs.items():
        report = run["report"]
        if report["kind"] == "search":
            continue
        rounds: dict[tuple[str, int | None, float | None], list[Mapping[str, Any]]] = {}
        for each in _single(report):
            if "total" in each:
                key = _role(run, each["target"]), each["concurrency"], each["rate"]
                rounds.setdefault(key, []).append(each)
        found += [_leg(name, *key, each) for key, each in rounds.items()]
    return found


def found_rates(runs: Mapping[str, Any]) -> list[FoundRate]:
    """What each search of a record found."""
    return [
        FoundRate(
            _role(run, each["target"]), each["sent_per_s"], each["rate"] or 0.0, each["failed_above"], each["confirmed"]
        )
        for run in runs.values()
        for each in run["report"].get("found", [])
    ]


def leg_of(runs: Mapping[str, Any], run: str, role: str, at_once: int | None = None) -> Leg | None:
    """The one leg of that run on that target, of so many calls at once if that is said; None if there is none."""
    named = [leg for leg in legs(runs) if leg.run == run and leg.role == role]
    return next((leg for leg in named if at_once is None or leg.at_once == at_once), None)


def ratio(runs: Mapping[str, Any], run: str, name: str = "ratio") -> float | None:
    """A ratio of the first target of a run over the second; None if it was not measured."""
    value = runs.get(run, {}).get("report", {}).get("ratios", {}).get(name, {}).get("value")
    return None if value is None else float(value)


def brief(runs: Mapping[str, Any]) -> str:
    """The figures in a line."""
    parts = [f"{each.role} {each.per_s:.0f}/s{'' if each.confirmed else ' unconfirmed'}" for each in found_rates(runs)]
    for leg in legs(runs):
        load = f"@{leg.at_once}" if leg.rate is None else f"@{leg.rate:.0f}/s"
        flaws = (f" {leg.errors} errors" if leg.errors else "") + (" generator limited" if leg.limited else "")
        name = "" if leg.run == leg.role else f"[{leg.run}] "
        parts.append(f"{name}{leg.role}{load} {leg.per_s:.0f}/s {leg.p50_ms:.1f}/{leg.p99_ms:.1f} ms{flaws}")
    return "; ".join(parts)


def _leg(name: str, role: str, at_once: int | None, rate: float | None, rounds: list[Mapping[str, Any]]) -> Leg:
    latency = Histogram()
    for each in rounds:
        latency.add(Histogram.decode(each["total"]["latency"]["hdr"]["data"]))
    return Leg(
        run=name,
        role=role,
        at_once=at_once,
        rate=rate,
        per_s=statistics.median(each["answered_per_s"] for each in rounds),
        p50_ms=latency.percentile(50) * 1e3,
        p99_ms=latency.percentile(99) * 1e3,
        errors=sum(each["total"]["errors"] + each["unfinished"] + each["unsent"] for each in rounds),
        limited=any(each["limits"] for each in rounds),
    )


def _single(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Its legs; a single one stands at the top of its report."""
    if "runs" in report:
        yield from report["runs"]
        return
    options = report["options"]
    rate = options["rate"]
    at_once = None if rate is not None else options["concurrency"]
    if options["shape"] == "stream" and at_once is not None:
        at_once *= options["streams"]
    yield {**report, "target": report["targets"][0]["address"], "rate": rate, "concurrency": at_once}


def _role(run: Mapping[str, Any], address: str) -> str:
    roles: Mapping[str, str] = run["roles"]
    return next(role for role, each in roles.items() if each == address)
