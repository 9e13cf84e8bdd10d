"""`intently-build evaluate`: asks bundles about the same rows, one after the other, and sets them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from intently_build.bar import progress_bar
from intently_build.errors import BuildError
from intently_build.evaluation.agreement import compare
from intently_build.evaluation.answering import Answering, Measured
from intently_build.evaluation.candidate import Candidate, read_candidates
from intently_build.evaluation.costs import read_costs
from intently_build.evaluation.dataset import Dataset, Source, check_same_rows, read_dataset
from intently_build.evaluation.figures import BundleResult, Results
from intently_build.evaluation.new_rows import in_words, new_rows, training_texts
from intently_build.evaluation.record import manifest_evaluation, record
from intently_build.evaluation.scoring import Scale, score
from intently_build.evaluation.store import AnswerStore, Question


@dataclass(frozen=True)
class Request:
    """What is asked of an evaluation.

    Attributes:
      bundles: their folders.
      reference: folder of the bundle that the others are compared with, or None for the first.
      source: where the rows are.
      in_flight: calls under way at a time.
      losses: shares of the in-scope rows at which to give the out-of-scope recall.
      costs: file of the cost matrix, or None.
      output: folder in which answers are kept, or None.
      write: whether each result goes into its bundle's manifest.
    """

    bundles: tuple[Path, ...]
    reference: Path | None
    source: Source
    in_flight: int
    losses: tuple[float, ...]
    costs: Path | None
    output: Path | None
    write: bool


def evaluate(request: Request, answering: Answering, console: Console) -> Results:
    """Returns how well the bundles do. Raises BuildError if bundles, data or server do not allow it."""
    candidates = read_candidates(request.bundles, request.reference)
    dataset = _same_dataset(candidates, request.source)
    costs = read_costs(request.costs, dataset.names, dataset.out_of_scope) if request.costs else None
    scale = Scale(dataset.right, dataset.names, request.losses, costs)
    store = AnswerStore(request.output, dataset.names) if request.output else None
    asker = _Asker(answering, store, dataset, request.in_flight, console)
    measured = [asker.measure(candidate) for candidate in candidates]
    engines = [answering.engine(candidate.manifest) for candidate in candidates]
    results = _results(scale, dataset, list(zip(candidates, engines, measured, strict=True)))
    answers = {candidate.name: each.answers for candidate, each in zip(candidates, measured, strict=True)}
    found = new_rows(dataset, training_texts(candidates[0], request.source), answers)
    results = replace(results, new_rows=found)
    if found and found.repeated:
        console.print(in_words(found), highlight=False, soft_wrap=True)
    if request.write:
        for candidate, bundle in zip(candidates, results.bundles, strict=True):
            record(candidate.folder, manifest_evaluation(results, bundle))
    return results


class _Asker:
    """Asks bundles about the rows, or finds what they answered before."""

    def __init__(
        self, answering: Answering, store: AnswerStore | None, dataset: Dataset, in_flight: int, console: Console
    ) -> None:
        self._answering = answering
        self._store = store
        self._dataset = dataset
        self._in_flight = in_flight
        self._console = console

    def measure(self, candidate: Candidate) -> Measured:
        """Returns the bundle's answers, and keeps them."""
        question = Question(
            bundle=candidate.folder.resolve().name,
            revision=candidate.manifest.revision,
            engine=self._answering.engine(candidate.manifest),
            in_flight=self._in_flight,
            data_sha256=self._dataset.digests,
        )
        kept = self._store.load(question) if self._store else None
        if kept is not None:
            self._console.print(f"{candidate.name}: answers kept from before", highlight=False)
            return kept
        measured = self._ask(candidate)
        if self._store:
            self._store.save(question, measured)
        return measured

    def _ask(self, candidate: Candidate) -> Measured:
        texts = self._dataset.texts
        with progress_bar(self._console) as bar:
            title = f"{candidate.name}: {self._dataset.name} {self._dataset.split}"
            task = bar.add_task(title, total=len(texts))
            try:
                return self._answering.measure(candidate.folder, candidate.manifest, texts, lambda: bar.advance(task))
            except BuildError as error:
                raise BuildError(f"{candidate.name}: {error}") from error


def _same_dataset(candidates: Sequence[Candidate], source: Source) -> Dataset:
    found = [(each.folder, read_dataset(each.folder, each.manifest, source)) for each in candidates]
    for other in found[1:]:
        check_same_rows(found[0], other)
    return found[0][1]


def _results(scale: Scale, dataset: Dataset, measured: Sequence[tuple[Candidate, str, Measured]]) -> Results:
    scored = [(each.answers, score(scale, each.answers, found.manifest.calibration)) for found, _, each in measured]
    bundles = tuple(
        BundleResult(
            name=candidate.name,
            revision=candidate.manifest.revision,
            format=candidate.format,
            engine=engine,
            bytes_on_disk=candidate.bytes_on_disk,
            quality=quality,
            comparison=compare(scored[0], (answers, quality), scale.right) if index else None,
            performance=each.performance,
        )
        for index, ((candidate, engine, each), (answers, quality)) in enumerate(zip(measured, scored, strict=True))
    )
    return Results(
        dataset=dataset.name,
        split=dataset.split,
        in_scope_rows=len(dataset.rows.in_scope),
        out_of_scope_rows=len(dataset.rows.out_of_scope),
        data_sha256=dataset.digests,
        reference=bundles[0].name if len(bundles) > 1 else None,
        bundles=bundles,
    )
