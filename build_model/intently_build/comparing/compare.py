"""`intently-build compare`: makes a bundle in every format, and measures one after the other.

What is done is kept: run again, it goes on with what is missing. A format that cannot be made or served ends as a line
with its reason; only without the reference is there nothing to compare.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from intently_build.comparing.compared import RESULTS, Compared, Missing, choice, front, write_compared
from intently_build.comparing.machine import Machine, find_target
from intently_build.comparing.making import REFERENCE, Maker
from intently_build.comparing.subject import Subject
from intently_build.dequantizing import is_quantized
from intently_build.errors import BuildError
from intently_build.evaluation.answering import Answering
from intently_build.evaluation.dataset import Source
from intently_build.evaluation.evaluate import Request as Evaluation
from intently_build.evaluation.evaluate import evaluate
from intently_build.evaluation.figures import Results
from intently_build.evaluation.gate import Gate
from intently_build.evaluation.report.html_report import write_reports
from intently_build.running import perform
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal

ANSWERS, REPORT = "answers", "report.html"
LOSSES = (0.01, 0.05)  # shares of the in-scope rows at which the out-of-scope recall is given


@dataclass(frozen=True)
class Request:
    """What is asked of a comparison.

    Attributes:
      formats: beside the reference.
      gpu: the GPU that they are for, or None for this machine's.
      output: folder that everything is kept in.
      report: page to write, or None for one in that folder.
      source: the rows.
      in_flight: numbers of calls under way to take the time at, rising.
      dtype, kv_cache_gib: how the server is set.
      group_size, samples: as in `Maker`.
    """

    formats: tuple[str, ...]
    gpu: str | None
    output: Path
    report: Path | None
    source: Source
    in_flight: tuple[int, ...]
    dtype: str
    kv_cache_gib: float
    group_size: int | None = None
    samples: int | None = None


def compare(request: Request, subject: Subject, answering: Answering, machine: Machine, console: Console) -> Compared:
    """Returns what was found, and writes it with its report. Raises BuildError if the reference cannot be measured."""
    target = find_target(request.gpu or machine.gpu, machine)
    with disk_errors(request.output), keep_journal(request.output, console) as journal:
        journal.say(f"measured on {machine.text}")
        if target.name != machine.gpu:
            journal.say(f"warning: this is not {target.name}: speed and memory are other there")
        perform(subject.steps, subject.digests, journal)
        if is_quantized(subject.folder):
            raise BuildError(f"{subject.folder}: quantized already; there is no bundle in bfloat16 to compare with")
        maker = Maker(subject, request.output, target, machine, request.group_size, request.samples, journal)
        made = [maker.make(name) for name in (REFERENCE, *request.formats)]
        bundles = {each.name: each.folder for each in made if each.folder}
        missing = [Missing(each.name, each.reason) for each in made if not each.folder]
        measuring = _Measuring(request, answering, machine, journal)
        results, unserved = measuring.measure(bundles)
        missing += unserved
        compared = _compared(request, subject, target.name, machine, results, missing)
        write_compared(request.output / RESULTS, compared)
        _report(request, subject, compared, results)
    return compared


class _Measuring:
    """Asks the bundles about the rows."""

    def __init__(self, request: Request, answering: Answering, machine: Machine, journal: Journal) -> None:
        self._answering = answering
        self._journal = journal
        how = json.dumps([machine.text, request.in_flight, request.dtype, request.kv_cache_gib])
        kept = request.output / ANSWERS / f"{machine.gpu}-{hashlib.sha256(how.encode()).hexdigest()[:12]}"
        self._evaluation = Evaluation(
            bundles=(),
            reference=None,
            source=request.source,
            in_flight=request.in_flight[-1],
            losses=LOSSES,
            costs=None,
            output=kept,
            write=False,
        )

    def measure(self, bundles: Mapping[str, Path]) -> tuple[Results, list[Missing]]:
        """Returns the results of all that could be served, and the others. Raises BuildError without the reference."""
        missing: list[Missing] = []
        for name, folder in bundles.items():
            try:
                self._evaluate([folder], self._journal.console)
            except BuildError as error:
                self._journal.failed(error)
                if name == REFERENCE:
                    raise
                reason = str(error).removeprefix(f"{name}: ")
                self._journal.say(f"{name}: left out: {reason}")
                missing.append(Missing(name, reason))
        served = [folder for name, folder in bundles.items() if name not in {each.name for each in missing}]
        return self._evaluate(served, Console(quiet=True)), missing  # all answers are kept by now

    def _evaluate(self, folders: Sequence[Path], console: Console) -> Results:
        return evaluate(replace(self._evaluation, bundles=tuple(folders)), self._answering, console)


def _compared(
    request: Request, subject: Subject, target: str, machine: Machine, results: Results, missing: Sequence[Missing]
) -> Compared:
    choices = tuple(choice(each, f"bundles/{each.name}", machine) for each in results.bundles)
    return Compared(
        recipe=subject.recipe.name,
        target=target,
        machine=machine,
        dataset=results.dataset,
        split=results.split,
        in_scope_rows=results.in_scope_rows,
        out_of_scope_rows=results.out_of_scope_rows,
        data_sha256=results.data_sha256,
        reference=REFERENCE,
        dtype=request.dtype,
        kv_cache_gib=request.kv_cache_gib,
        choices=choices,
        missing=tuple(missing),
        front=front(choices),
    )


def _report(request: Request, subject: Subject, compared: Compared, results: Results) -> None:
    gate = Gate(subject.recipe.evaluate.gate.accuracy, subject.recipe.evaluate.gate.macro_f1)
    notes = [
        f"Measured on {compared.machine.text}; the formats are those that {compared.target} runs.",
        f"On the Pareto front of accuracy, speed, memory and size: {', '.join(compared.front)}.",
        *(f"{each.name} was left out: {each.reason}" for each in compared.missing),
    ]
    write_reports(request.report or request.output / REPORT, results, gate, gate.failures(results), notes)
