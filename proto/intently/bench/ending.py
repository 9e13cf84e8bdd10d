"""What the figures mean for the exit code."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from intently.bench.exit_code import DONE, FAILED, LIMITED
from intently.bench.studies.failing import failures_of
from intently.bench.studies.kind import Kind
from intently.bench.studies.order import Order
from intently.bench.studies.study import Run, Study


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended.

    Attributes:
        limits: Why the generator was the limit; empty if it was not.
        failures: What makes the exit code 1.
        interrupted: Whether the run was stopped before its end.
        withheld: Whether figures are not told, since they would say nothing of the server: of a ramp those of the steps
            that were limited, otherwise all.
    """

    limits: tuple[str, ...]
    failures: tuple[str, ...]
    interrupted: bool
    withheld: bool

    @property
    def exit_code(self) -> int:
        """1 before 3 before 0."""
        if self.failures:
            return FAILED
        return LIMITED if self.withheld else DONE

    def withholds(self, study: Study, run: Run) -> bool:
        """Whether the figures of this run are not told."""
        return self.withheld and (study.kind is not Kind.RAMP or bool(run.limits))


def ending_of(study: Study, order: Order) -> Ending:
    """Judges a study. Where figures are withheld, thresholds are not held against them."""
    withheld = bool(study.limits) and not order.allow_limited
    failures = [*study.faults, *_unanswered(study), *_lost(study.runs)]
    told = study
    if withheld:
        kept = [run for run in study.runs if study.kind is Kind.RAMP and not run.limits]
        told = dataclasses.replace(study, runs=tuple(kept))
    if told.runs:
        failures += _not_found(told)
        failures += [each for threshold in order.thresholds for each in failures_of(told, threshold)]
    return Ending(study.limits, tuple(failures), study.interrupted, withheld)


def _unanswered(study: Study) -> Iterator[str]:
    for target in study.targets if not study.faults else ():
        runs = [run for run in study.runs if run.target == target]
        if not any(run.result.total.answered for run in runs):
            yield "nothing was answered" if len(study.targets) == 1 else f"{target} answered nothing"


def _not_found(study: Study) -> Iterator[str]:
    if study.kind is not Kind.SEARCH or study.interrupted or study.faults:
        return
    for each in study.found:
        if each.rate is None:
            yield f"{each.target} does not meet {each.slo} at any rate"
        elif not each.confirmed and not each.limits:
            yield f"{each.target}: the search came to no end"


def _lost(runs: Sequence[Run]) -> Iterator[str]:
    lost = sum(run.result.lost for run in runs)
    answered_twice = sum(run.result.answered_twice for run in runs)
    if lost or answered_twice:
        yield f"{lost} items were lost, {answered_twice} answered twice"
