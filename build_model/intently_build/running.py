"""`intently-build run` and `adapt`, `distill`, `merge`, `package`: which steps each performs, in what folder."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from intently_build.adapting.merge import Pair, merge_step
from intently_build.adapting.probes import Probes
from intently_build.errors import BuildError
from intently_build.needed import needed_recipes
from intently_build.pipeline import RECORDS, Build, load_build
from intently_build.recipe import AdaptRecipe, DistillRecipe, is_pretraining, recipe_name
from intently_build.run_folder import RunFolder
from intently_build.steps.digests import Digests
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal
from intently_build.steps.perform import Performer
from intently_build.steps.step import RECORD, Step, place_of, read_record
from intently_build.trainer import Device, on_gpu

REFERENCE = "reference"  # folder of a run: the bundle before it was quantized
EVALUATION = "evaluation"  # folder of a run: answers and report

Engine = Literal["server", "transformers"]


@dataclass(frozen=True)
class Run:
    """What is asked of a run.

    Attributes:
      recipe: its file.
      folder: of the run, or None for runs/ and the recipe's name.
      bundle: where the bundle goes, or None for the folder `bundle` of the run.
      device: where to train.
      restart: whether to throw away what an earlier run left.
      replace: whether to write over a bundle that this run did not make.
      evaluate: what answers the test rows in the end, or None to leave them alone.
    """

    recipe: Path
    folder: Path | None
    bundle: Path | None
    device: Device
    restart: bool = False
    replace: bool = False
    evaluate: Engine | None = None


def run(asked: Run, console: Console) -> bool:
    """Performs every step of a recipe, from the first that is not done. The recipe of a base ends with the base.

    Recipes that it builds on, and whose runs beside this one's are not complete, are run first.

    Returns whether the bundle passed the recipe's gate; true if it was not evaluated. Raises BuildError.
    """
    if is_pretraining(asked.recipe):
        _run_pretraining(asked, console)
        return True
    on_gpu(asked.device)
    _run_needed(asked, console)
    build = load_build(asked.recipe, asked.folder)
    output = asked.bundle or build.run.path / "bundle"
    _check_output(build, output, asked)
    build.check()
    identity = build.identity
    another = build.run.is_another(identity)
    with disk_errors(build.run.path):
        build.run.claim(identity, asked.restart or another)
    with disk_errors(build.run.path), keep_journal(build.run.path, console) as journal:
        if another:
            journal.say(
                f"{build.run.path}: the recipe or its rows changed; what was trained by the former is thrown away"
            )
        steps = [*build.model_steps(asked.device), *build.classifier_steps(), lambda: build.package_step(output)]
        compared: tuple[Path, ...] = (output,)
        if asked.evaluate and build.recipe.quantize:  # what quantizing lost is measured against the same unquantized
            reference = build.run.path / REFERENCE
            steps.append(lambda: build.package_step(reference, build.run.head, f"{RECORDS}-{REFERENCE}"))
            compared = (reference, output)
        perform(steps, build.digests, journal)
        journal.say(f"{output}: packaged")
        return asked.evaluate is None or _judge(build, compared, asked.evaluate, journal)


def _run_pretraining(asked: Run, console: Console) -> None:
    from intently_build.pretraining.pretrain import pretrain, pretraining_identity

    folder = asked.folder or Path("runs") / recipe_name(asked.recipe)
    another = RunFolder(folder).is_another(pretraining_identity(asked.recipe))
    if another:
        console.print(
            f"{folder}: the recipe or its rows changed; what was trained by the former is thrown away",
            highlight=False,
            soft_wrap=True,
        )
    pretrain(asked.recipe, folder, asked.device, asked.restart or another, console)


def _run_needed(asked: Run, console: Console) -> None:
    runs = asked.folder.absolute().parent if asked.folder else Path("runs")
    for needed in needed_recipes(asked.recipe, runs.absolute()):
        console.print(f"{asked.recipe} builds on {needed}, which is run first", highlight=False, soft_wrap=True)
        run(Run(needed, runs / recipe_name(needed), None, asked.device), console)


def _judge(build: Build, bundles: tuple[Path, ...], engine: Engine, journal: Journal) -> bool:
    from intently_build.judging import judge

    folder = build.run.path / EVALUATION
    try:
        passed = judge(build.path, build.recipe, bundles, engine, folder, journal.console)
    except BaseException as error:
        journal.failed(error)
        raise
    journal.say(f"{folder}: {'passed' if passed else 'did not pass'} the gate")
    return passed


def adapt(recipe: Path, folder: Path | None, device: Device, restart: bool, console: Console) -> None:
    """Trains the adapter of a recipe, or goes on where an earlier run stopped. Raises BuildError."""
    build = load_build(recipe, folder)
    if not isinstance(build.recipe, AdaptRecipe):
        raise BuildError(f"{recipe}: has no section adapt; `intently-build run {recipe}` builds it")
    _train(build, device, restart, console, leave_out=1)  # the merging


def distill(recipe: Path, folder: Path | None, device: Device, restart: bool, console: Console) -> None:
    """Asks the teachers of a recipe, and trains its student; or goes on where it stopped. Raises BuildError."""
    build = load_build(recipe, folder)
    if not isinstance(build.recipe, DistillRecipe):
        raise BuildError(f"{recipe}: has no section distill; `intently-build run {recipe}` builds it")
    _train(build, device, restart, console)


def _train(build: Build, device: Device, restart: bool, console: Console, leave_out: int = 0) -> None:
    """Performs the steps that end with the model, but for so many at the end."""
    on_gpu(device)
    build.check()
    with disk_errors(build.run.path):
        build.run.claim(build.identity, restart)
    with disk_errors(build.run.path), keep_journal(build.run.path, console) as journal:
        steps = build.model_steps(device)
        perform(steps[: len(steps) - leave_out], build.digests, journal)


def merge(base: Path, adapter: Path, output: Path, replace: bool, console: Console, other_name: bool = False) -> None:
    """Merges an adapter into its base. Raises BuildError if another thing lies at `output` and `replace` is false."""
    step = merge_step(Pair(base, adapter, other_name), output, Probes(), digests := Digests())
    if output.exists() and not step.record_file.is_file() and not replace:
        raise BuildError(f"{output}: exists, and was not merged by intently-build; give --replace to write over it")
    journal = Journal(console)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's: there is no log for them, and what matters of them is checked
        perform([lambda: step], digests, journal)
    journal.say(f"{output}: merged")


def package(recipe: Path, folder: Path, output: Path, replace: bool, checkpoint: Path | None, console: Console) -> None:
    """Packages the model of a complete run, or `checkpoint` that was made from its classifier. Raises BuildError."""
    build = load_build(recipe, folder)
    build.run.check(build.identity)
    if not build.model.exists():
        raise BuildError(f"{build.run.path}: the training is not complete; run `intently-build run {recipe}` again")
    if output.exists() and not replace:
        raise BuildError(f"{output}: exists; give --replace to write it anew")
    (build.run.path / RECORDS / RECORD).unlink(missing_ok=True)
    steps = build.classifier_steps()[:1] if checkpoint else build.classifier_steps()
    with disk_errors(build.run.path), keep_journal(build.run.path, console) as journal:
        perform([*steps, lambda: build.package_step(output, checkpoint)], build.digests, journal)
        journal.say(f"{output}: packaged")


def perform(steps: Sequence[Callable[[], Step]], digests: Digests, journal: Journal) -> None:
    """Performs the steps in order, each made once those before it are done. Logs what goes wrong, and raises it."""
    performer = Performer(journal, digests, len(steps))
    try:
        for step in steps:
            performer.perform(step())
    except BaseException as error:
        journal.failed(error)
        raise


def _check_output(build: Build, output: Path, asked: Run) -> None:
    """Raises BuildError, before hours of training, if what lies at `output` may not be written over."""
    records = build.run.path / RECORDS
    record = read_record(records / RECORD)
    wrote = record is not None and record.place in ("", place_of(output, records))  # "" of earlier versions
    ours = wrote or RunFolder(output.parent) == build.run
    if output.exists() and not ours and not asked.replace:
        raise BuildError(f"{output}: exists, and this run did not write it; give --replace to write it anew")
