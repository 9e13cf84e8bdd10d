"""What is wanted of the figures, and whether they are there: one line each, from the records of studies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from support.benchmarks.curves import BUSY
from support.benchmarks.figures import found_rates, leg_of, legs, ratio
from support.benchmarks.load import STREAMS
from support.benchmarks.operating import SERVING

Records = Mapping[str, Mapping[str, Any]]
_FLAT = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """One figure.

    Attributes:
        what: In words, with the bound.
        measured: The figure; None where it was not measured.
        unit: Of it.
        least: It must be so much at least; None if there is no such bound.
        most: And so much at most.
    """

    what: str
    measured: float | None
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is met; None where it was not measured."""
        if self.measured is None:
            return None
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)


def wanted(records: Records) -> list[Wanted]:
    """All of them, by what was measured. Records are by the names of the studies."""

    def of(study: str, figure: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        return figure(records[study]["runs"]) if study in records else None

    return [
        Wanted("rate within the latency, over `vllm serve`", of("rate-beside-serve", _of_rates), "times", least=1.8),
        Wanted("rate within the latency, over the bare engine", of("rate-beside-bare", _of_rates), "times", least=0.97),
        Wanted("p99 of one caller, over the bare engine's", of("one-caller", _more_than_bare), "ms", most=1.0),
        Wanted("p99 of 16 callers", of("closed-loops", _p99_at_16), "ms", most=25.0),
        Wanted("Envoy's share of the p50 of one caller", of("envoys-share", _envoy), "ms", most=0.5),
        Wanted("items on streams, over single calls", of("streams", _streams), "times", least=1.0),
        Wanted(
            "batches of 32, over the bare engine", of("batches", lambda runs: ratio(runs, "bare")), "times", least=0.97
        ),
        Wanted("labels: the greatest difference at a fixed prefix", of("label-counts", _unlike), "%", most=100 * _FLAT),
        Wanted("warm start to SERVING, the slower of two", _started(records), "s", most=15.0),
        Wanted("failed calls of a deploy", _failed(records), "", most=0.0),
        Wanted("two GPUs, over one", of("two-gpus", lambda runs: ratio(runs, "rate")), "times", least=1.9),
    ]


def _of_rates(runs: Mapping[str, Any]) -> float | None:
    """By what was sent or by what was asked for, whichever is less: the luck of arrivals is not ours to take."""
    found = found_rates(runs)
    if len(found) != 2 or not found[1].per_s or not found[1].asked:
        return None
    first, second = found
    return min(first.per_s / second.per_s, first.asked / second.asked)


def _more_than_bare(runs: Mapping[str, Any]) -> float | None:
    ours, bare = leg_of(runs, "bare", "envoy"), leg_of(runs, "bare", "bare")
    return None if ours is None or bare is None else ours.p99_ms - bare.p99_ms


def _p99_at_16(runs: Mapping[str, Any]) -> float | None:
    seen = [leg.p99_ms for leg in legs(runs) if leg.role == "envoy" and leg.at_once == 16]
    return max(seen, default=None)


def _envoy(runs: Mapping[str, Any]) -> float | None:
    through, direct = leg_of(runs, "1", "envoy"), leg_of(runs, "1", "server")
    return None if through is None or direct is None else through.p50_ms - direct.p50_ms


def _streams(runs: Mapping[str, Any]) -> float | None:
    """Of the number of streams that did worst, the better of two turns over the better of the calls'."""
    calls = _best(runs, "calls")
    items = [best for number in STREAMS if (best := _best(runs, f"{number} streams")) is not None]
    return None if calls is None or not items else min(items) / calls


def _best(runs: Mapping[str, Any], kind: str) -> float | None:
    return max((leg.per_s for leg in legs(runs) if leg.run.rpartition(" ")[0] == kind), default=None)


def _unlike(runs: Mapping[str, Any]) -> float | None:
    """How far the rate or the median latency of another number of labels is from ours, in percent."""
    one = [ratio(runs, run, "p50-ratio") for run in runs if run.endswith(" 1")]
    many = [ratio(runs, run) for run in runs if run.endswith(f" {BUSY}")]
    return max((abs(each - 1) * 100 for each in [*one, *many] if each is not None), default=None)


def _started(records: Records) -> float | None:
    notes = records.get("warm-starts", {}).get("notes", {})
    return max((float(value) for name, value in notes.items() if name.startswith(SERVING)), default=None)


def _failed(records: Records) -> float | None:
    deploy = records.get("blue-green", {}).get("notes", {}).get("deploy")
    return None if deploy is None else float(sum(deploy["failures"].values()))
