"""Holds a study against thresholds."""

from collections.abc import Iterator

from intently.bench.studies.kind import Kind
from intently.bench.studies.study import Run, Study
from intently.bench.tally import Tally
from intently.bench.thresholds import Threshold


def failures_of(study: Study, threshold: Threshold) -> Iterator[str]:
    """Why the study fails by the threshold, if it does."""
    for where, value in _figures(study, threshold.figure):
        place = f" at {where}" if where else ""
        if value is None:
            yield f"{threshold.figure}{place} was not measured"
        elif value < threshold.bound if threshold.below else value > threshold.bound:
            side = "under" if threshold.below else "over"
            bound = _shown(threshold, threshold.bound)
            yield f"{threshold.figure} is {_shown(threshold, value)}{place}, {side} {bound}"


def _shown(threshold: Threshold, value: float) -> str:
    return f"{value * 1e3:.4g} ms" if threshold.is_time else f"{value:.4g}"


def _figures(study: Study, name: str) -> Iterator[tuple[str, float | None]]:
    """Each value of a figure, and where it was measured: of a ramp each step, otherwise one of the first target."""
    if name.endswith(("ratio", "ratio.low", "ratio.high")):
        base, _, end = name.partition("ratio")
        ratio = dict(study.ratios).get(base + "ratio")
        yield "", None if ratio is None else getattr(ratio, end.removeprefix(".") or "value")
    elif name == "found":
        yield "", study.found[0].sent_per_s if study.found and study.found[0].rate is not None else None
    elif study.kind is Kind.RAMP:
        for run in study.runs:
            yield run.load, _of([run], name)
    else:
        yield "", _of(_decisive(study), name)


def _decisive(study: Study) -> list[Run]:
    """Runs on the first target whose figures count: all, or those at the rate that a search found."""
    runs = [run for run in study.runs if run.target == study.targets[0]]
    if study.kind is not Kind.SEARCH:
        return runs
    rate = study.found[0].rate if study.found else None
    return [run for run in runs if rate is not None and run.plan.rate == rate]


def _of(runs: list[Run], name: str) -> float | None:
    total = Tally()
    for run in runs:
        total.add(run.result.total)
    utterances = total.answered + total.errors
    if name == "errors":
        return float(total.errors)
    if name == "error-rate":
        return total.errors / utterances if utterances else None
    if name == "goodput":
        window_s = sum(run.result.window_s for run in runs)
        answered = sum(run.result.answered_per_s * run.result.window_s for run in runs)
        return answered / window_s if window_s else None
    if not total.latency.count:
        return None
    if name in {"max", "mean"}:
        return total.latency.most if name == "max" else total.latency.mean
    return total.latency.percentile(float(name.removeprefix("p")))
