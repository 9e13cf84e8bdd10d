"""The rows that a finished bundle is calibrated on anew: of its intents, none of them a test row or one that it learnt.

Of rows that it learnt, a model is surer than of any other: confidence that is fitted to them promises too much.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.errors import BuildError
from intently_build.evaluation.dataset import Dataset, Source, Split, read_dataset
from intently_build.overlap import fold
from intently_build.quantizing.calibration_rows import read_texts
from intently_build.recipe import load_recipe
from intently_build.rows import Row, SplitRows


@dataclass(frozen=True)
class Wanted:
    """Which rows to calibrate on.

    Attributes:
      rows: file of rows; or None for the validation rows of `recipe`.
      recipe: the recipe's file; None where there is a file of rows.
      folder: of the recipe's rows, or None for where the recipe says that they are.
      tests: files of test rows that these must not be, beside those that the recipe or the bundle's own names.
      leave_out_test: whether rows that are test rows too are left out rather than refused.
      training: files of training rows that these must not be, beside those likewise.
      leave_out_training: whether rows that are training rows too are left out, rather than refused in a file of rows
        and kept among a recipe's validation rows.
    """

    rows: Path | None
    recipe: Path | None
    folder: Path | None = None
    tests: tuple[Path, ...] = ()
    leave_out_test: bool = False
    training: tuple[Path, ...] = ()
    leave_out_training: bool = False


@dataclass(frozen=True)
class CalibrationSet:
    """What to calibrate on.

    Attributes:
      dataset: the rows.
      words: what a manifest calls them.
      files: their names, and how their SHA-256 begin.
      left_out: how many were test rows too.
      compared: with how many test rows they were compared; none if no test rows could be found.
      learnt: how many of those that are left, or would be, are training rows too.
      learnt_left_out: whether those were left out.
      compared_training: with how many training rows they were compared; none if none could be found.
    """

    dataset: Dataset
    words: str
    files: str
    left_out: int
    compared: int
    learnt: int
    learnt_left_out: bool
    compared_training: int


def read_calibration_set(bundle: Path, manifest: bundle_pb2.BundleManifest, wanted: Wanted) -> CalibrationSet:
    """Returns the rows.

    Raises BuildError if they are not the bundle's intents', or if test rows or training rows are among them.
    """
    source = Source("validation", wanted.recipe, wanted.folder, wanted.rows)
    dataset = read_dataset(bundle, manifest, source)
    where = wanted.rows or wanted.recipe
    _check_not_measured_on(manifest, dataset, where)
    _check_not_trained_on(manifest, dataset, where)
    tests = _texts_of("test", bundle, manifest, wanted, wanted.tests)
    training = _texts_of("train", bundle, manifest, wanted, wanted.training)
    untested = _without(dataset.rows, tests)
    left_out = len(dataset.texts) - _count(untested)
    if left_out > _allowed(wanted, tests) and not wanted.leave_out_test:
        raise _refusal(where, left_out, dataset, "test rows", "--leave-out-test")
    new = _without(untested, training)
    learnt = _count(untested) - _count(new)
    if learnt and wanted.rows and not wanted.leave_out_training:
        raise _refusal(where, learnt, dataset, "training rows", "--leave-out-training")
    kept = new if wanted.leave_out_training else untested
    if not kept.in_scope:
        raise BuildError(f"{where}: all rows in scope are test rows or training rows too; give others")
    return CalibrationSet(
        dataset=replace(dataset, rows=kept),
        words="validation rows" if wanted.rows is None else "calibration rows",
        files=", ".join(f"{name} SHA-256 {digest[:12]}" for name, digest in kept.files),
        left_out=left_out,
        compared=len(tests),
        learnt=learnt,
        learnt_left_out=wanted.leave_out_training,
        compared_training=len(training),
    )


def _refusal(where: Path | None, count: int, dataset: Dataset, what: str, flag: str) -> BuildError:
    return BuildError(
        f"{where}: {count} of {len(dataset.texts)} rows are {what} too; give other rows, or {flag} to go on without "
        "these"
    )


def _check_not_measured_on(manifest: bundle_pb2.BundleManifest, dataset: Dataset, where: Path | None) -> None:
    """Known by their digest, wherever the files of the test rows are now."""
    for evaluation in manifest.evaluations:
        if evaluation.split == "test" and set(evaluation.data_sha256) & set(dataset.digests):
            raise BuildError(
                f"{where}: the bundle's evaluation on {evaluation.dataset} {evaluation.split} was measured on these "
                "very rows; give others"
            )


def _check_not_trained_on(manifest: bundle_pb2.BundleManifest, dataset: Dataset, where: Path | None) -> None:
    """Known by their digest likewise."""
    for source in manifest.origin.data:
        if source.sha256 in dataset.digests:
            raise BuildError(
                f"{where}: the bundle was trained on these very rows ({source.name}), of which it is surer than of "
                "others; give validation rows, or rows of your own"
            )


def _texts_of(
    split: Split, bundle: Path, manifest: bundle_pb2.BundleManifest, wanted: Wanted, files: Iterable[Path]
) -> list[str]:
    """Returns the texts of all rows of that split that are named; the bundle's own only where they can be found."""
    texts = [text for path in files for text in read_texts(path)]
    if wanted.recipe is None:
        try:
            return texts + read_dataset(bundle, manifest, Source(split, folder=wanted.folder)).texts
        except BuildError:
            return texts  # whoever has the bundle need not have its rows
    if split == "test" and load_recipe(wanted.recipe)[0].data.test is None:
        return texts
    return texts + read_dataset(bundle, manifest, Source(split, wanted.recipe, wanted.folder)).texts


def _allowed(wanted: Wanted, tests: Sequence[str]) -> int:
    """Returns how many rows may be test rows too: those that a recipe allows, since its data set repeats them."""
    if wanted.recipe is None:
        return 0
    return int(load_recipe(wanted.recipe)[0].data.repeated_test_rows * len(tests))


def _count(rows: SplitRows) -> int:
    return len(rows.in_scope) + len(rows.out_of_scope)


def _without(rows: SplitRows, texts: Iterable[str]) -> SplitRows:
    known = {fold(text) for text in texts}

    def kept(part: Iterable[Row]) -> tuple[Row, ...]:
        return tuple(row for row in part if fold(row.text) not in known)

    return replace(rows, in_scope=kept(rows.in_scope), out_of_scope=kept(rows.out_of_scope))
