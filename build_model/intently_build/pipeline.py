"""All steps from a recipe to a bundle: which there are, and what each is made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intently_build.adapting.adapt import adapt_step
from intently_build.adapting.adapter import read_adapter
from intently_build.adapting.checkpoint import TOKENIZER, find_base, read_checkpoint
from intently_build.adapting.lora import check_lora, check_lora_tools
from intently_build.adapting.matching import base_identity, check_match
from intently_build.adapting.merge import Pair, merge_step
from intently_build.adapting.probes import Probes, spread
from intently_build.adapting.tokens import extend_step, missing_tokens
from intently_build.bundles.manifest import read_manifest
from intently_build.describing import Contents
from intently_build.distilling.distill import distill_step
from intently_build.distilling.teach import revisions, teach_step
from intently_build.distilling.teachers import check_labels, find_teacher
from intently_build.errors import BuildError
from intently_build.head_step import code_tokens, head_step
from intently_build.layout import prompt_layout
from intently_build.origin import quantized_origin, read_origin
from intently_build.package import notice_files, package_step
from intently_build.published import published_head_step, read_published
from intently_build.quantize_check import check_quantize, linears_of
from intently_build.quantize_step import quantize_step
from intently_build.recipe import (
    AdapterRecipe,
    AdaptRecipe,
    Architecture,
    DistillRecipe,
    PublishedRecipe,
    Recipe,
    ScratchRecipe,
    load_recipe,
)
from intently_build.run_folder import RunFolder, RunIdentity, run_identity
from intently_build.steps.digests import Digests
from intently_build.steps.step import RECORD, Step, read_record
from intently_build.train import train_step
from intently_build.trainer import Device
from intently_build.training_data import TrainingData, data_files, read_training_data

PROVED_ON = 32  # prompts
RECORDS = "package"  # folder of a run: the record of its bundle


@dataclass(frozen=True)
class Build:
    """A recipe with its rows and the folder of its run.

    Attributes:
      path, recipe, text: the recipe's file, what it says, and its text.
      data: its rows.
      run: where its results stand.
      digests: of files, each read once.
    """

    path: Path
    recipe: Recipe
    text: str
    data: TrainingData
    run: RunFolder
    digests: Digests

    @property
    def probes(self) -> Probes:
        """Validation utterances, on which models are compared."""
        texts = spread(tuple(row.text for row in self.data.validation.in_scope), PROVED_ON)
        return Probes(prompt_layout(self.recipe.prompt), texts)

    @property
    def model(self) -> Path:
        """The model that the head is made of: causal, or a classifier with a trained head."""
        if isinstance(self.recipe, PublishedRecipe):
            return self.path.parent / self.recipe.published.checkpoint
        return self.run.model if isinstance(self.recipe, ScratchRecipe | DistillRecipe) else self.run.merged

    @property
    def classifier(self) -> Path:
        """The classifier that is packaged."""
        return self.run.quantized if self.recipe.quantize else self.run.head

    @property
    def files(self) -> Mapping[str, Path]:
        """The files of its rows and labels."""
        return data_files(self.path, self.recipe)

    @property
    def identity(self) -> RunIdentity:
        """What the run is trained from; nothing if the recipe trains nothing."""
        recipe = self.recipe
        if not isinstance(recipe, ScratchRecipe | AdaptRecipe | DistillRecipe):
            return RunIdentity()
        files = (*self.data.train.files, *self.data.validation.files)
        start = self._start
        if start:
            base = base_identity(read_checkpoint(start), self.digests)
            files = (*files, *((f"base {name}", digest) for name, digest in base.items()))
        if isinstance(recipe, DistillRecipe):
            files = (*files, *((f"teacher {name}", each) for name, each in self._revisions(recipe).items()))
        return run_identity(recipe, files, self.digests.file(self.files["labels"]))

    def model_steps(self, device: Device) -> list[Callable[[], Step]]:
        """Returns the steps that end with `model`. Each is asked for once those before it are done."""
        recipe = self.recipe
        if isinstance(recipe, ScratchRecipe):
            return [lambda: train_step(self.path, recipe, self.data, self.run, device)]
        if isinstance(recipe, AdaptRecipe):
            return self._adapting(recipe, device)
        if isinstance(recipe, DistillRecipe):
            return self._distilling(recipe, device)
        if isinstance(recipe, AdapterRecipe):
            base = find_base(self.path, recipe.adapter.base, self._runs)
            return [self._merging(Pair(base, self._given_adapter(recipe), recipe.adapter.other_name))]
        return []  # published: it is there

    def classifier_steps(self) -> list[Callable[[], Step]]:
        """Returns the steps from `model` to `classifier`."""
        names = self.data.labels.names
        codes = code_tokens(self.recipe, len(names))
        make = published_head_step if isinstance(self.recipe, PublishedRecipe) else head_step
        steps: list[Callable[[], Step]] = [lambda: make(self.model, self.run.head, names, codes, self.probes)]
        if self.recipe.quantize:
            steps.append(lambda: quantize_step(self.path, self.recipe, self.run.head, self.run.quantized))
        return steps

    def package_step(self, output: Path, checkpoint: Path | None = None, records: str = RECORDS) -> Step:
        """Returns the step that packages `checkpoint`, or else `classifier`, once its head has been made.

        Its record goes to the folder `records` of the run.
        """
        return package_step(self.contents(checkpoint or self.classifier), output, self.run.path / records)

    def contents(self, stored: Path) -> Contents:
        """Returns what a bundle of the classifier in `stored` is packaged from, once the head has been made."""
        record = read_record(self.run.head / RECORD)
        if record is None:
            raise BuildError(f"{self.run.head}: no classifier there; run `intently-build run {self.path}`")
        return Contents(
            self.recipe,
            self.text,
            self.data,
            self.path,
            self.files,
            stored,
            tuple(record.proof["code_token_ids"]),
            quantized_origin(read_origin(self.recipe, self.run, self._given), stored),
        )

    def check(self) -> None:
        """Looks at what the recipe builds on, before anything is trained. Raises BuildError."""
        code_tokens(self.recipe, len(self.data.labels.names))
        notice_files(self.recipe, self.path)
        start = self._start
        base = read_checkpoint(start) if start else None
        if isinstance(self.recipe, AdaptRecipe) and base:
            check_lora(self.recipe.adapt.lora, base)
            if not self.run.adapter.exists():  # what was trained in another environment is taken here
                check_lora_tools(self.recipe.adapt.lora)
        if isinstance(self.recipe, DistillRecipe) and not self._taught(self.recipe):
            for bundle in self._teachers(self.recipe).values():
                check_labels(bundle, read_manifest(bundle), self.data.labels.names)
        if isinstance(self.recipe, AdapterRecipe):
            self._check_adapter(self.recipe)
        if isinstance(self.recipe, PublishedRecipe):
            quantized = "quantization_config" in read_published(self.model)
            if quantized and self.recipe.quantize:
                raise BuildError(f"{self.path}: quantize: {self.model} is quantized already; leave the section out")
        if self.recipe.quantize:
            made = read_record(self.run.quantized / RECORD) is not None
            check_quantize(self.recipe.quantize, linears_of(self._built_from), self.data, made)

    def _check_adapter(self, recipe: AdapterRecipe) -> None:
        base = read_checkpoint(find_base(self.path, recipe.adapter.base, self._runs))
        adapter = read_adapter(self._given_adapter(recipe))
        check_match(adapter, base, self.digests, recipe.adapter.other_name)
        if adapter.classifies != (recipe.adapter.head == "trained"):
            how, say = ("a head of its own", "trained") if adapter.classifies else ("no head", "code-tokens")
            raise BuildError(f"adapter.head: {adapter.folder} was trained with {how}; say head: {say}")

    @property
    def _runs(self) -> Path:
        return self.run.path.absolute().parent

    @property
    def _given(self) -> Path | None:
        """The folder of weights that others made, if the recipe names some."""
        if isinstance(self.recipe, PublishedRecipe):
            return self.model
        return self._given_adapter(self.recipe) if isinstance(self.recipe, AdapterRecipe) else None

    def _given_adapter(self, recipe: AdapterRecipe) -> Path:
        return self.path.parent / recipe.adapter.folder

    @property
    def _start(self) -> Path | None:
        """The causal checkpoint that the training begins with; None if it begins from nothing."""
        if isinstance(self.recipe, AdaptRecipe):
            return find_base(self.path, self.recipe.adapt.base, self._runs)
        student = self.recipe.distill.student if isinstance(self.recipe, DistillRecipe) else None
        return find_base(self.path, student, self._runs) if student else None

    @property
    def _built_from(self) -> Path | Architecture:
        """A checkpoint with the layers of `model`, or what they will be."""
        if isinstance(self.recipe, AdapterRecipe):
            return find_base(self.path, self.recipe.adapter.base, self._runs)
        if isinstance(self.recipe, ScratchRecipe | DistillRecipe) and self.recipe.model:
            return self.recipe.model
        return self._start or self.model

    def _teachers(self, recipe: DistillRecipe) -> dict[str, Path]:
        return {name: find_teacher(self.path, name, self._runs) for name in recipe.distill.teachers}

    def _taught(self, recipe: DistillRecipe) -> bool:
        """Whether the student is complete, and a teacher that it learnt from is gone."""
        gone = any(not self._has_teacher(name) for name in recipe.distill.teachers)
        return gone and self.run.model.exists()

    def _has_teacher(self, name: str) -> bool:
        try:
            find_teacher(self.path, name, self._runs)
        except BuildError:
            return False
        return True

    def _revisions(self, recipe: DistillRecipe) -> dict[str, str]:
        """Returns the revision of each teacher; of one that is gone, the revision in which it was asked."""
        record = read_record(self.run.teaching / RECORD)
        asked: dict[str, str] = record.identity["settings"]["teachers"] if record else {}
        found: dict[str, str] = {}
        for name in recipe.distill.teachers:
            try:
                found |= revisions({name: find_teacher(self.path, name, self._runs)})
            except BuildError:
                if name not in asked:
                    raise
                found[name] = asked[name]
        return found

    def _adapting(self, recipe: AdaptRecipe, device: Device) -> list[Callable[[], Step]]:
        base, steps = self._extending(find_base(self.path, recipe.adapt.base, self._runs), recipe.adapt.new_tokens)
        steps.append(lambda: adapt_step(self.path, recipe, self.data, base, self.run, device, self.digests))
        return [*steps, self._merging(Pair(base, self.run.adapter))]

    def _distilling(self, recipe: DistillRecipe, device: Device) -> list[Callable[[], Step]]:
        if self._taught(recipe):
            return []  # the student is taken as it is
        start = self._start
        student, steps = self._extending(start, ()) if start else (None, [])
        teachers = self._teachers(recipe)
        return [
            *steps,
            lambda: teach_step(self.path, recipe, self.data, teachers, self.run, device),
            lambda: distill_step(self.path, recipe, self.data, student, self.run, device),
        ]

    def _extending(self, found: Path, new_tokens: Sequence[str]) -> tuple[Path, list[Callable[[], Step]]]:
        """Returns the checkpoint with all tokens that the recipe needs, and the step that makes it, if there is one."""
        codes = code_tokens(self.recipe, len(self.data.labels.names))
        lacking = missing_tokens(found / TOKENIZER, (*new_tokens, *codes))
        if not lacking:
            return found, []
        return self.run.base, [lambda: extend_step(found, self.run.base, lacking)]

    def _merging(self, pair: Pair) -> Callable[[], Step]:
        return lambda: merge_step(pair, self.run.merged, self.probes, self.digests)


def load_build(path: Path, run: Path | None) -> Build:
    """Returns what the recipe at `path` builds, its rows checked, in the folder `run` or in runs/ and its name.

    Raises BuildError for a recipe or rows that are not as they must be, test rows among the training rows included.
    """
    recipe, text = load_recipe(path)
    data = read_training_data(path, recipe)
    return Build(path, recipe, text, data, RunFolder(run or Path("runs") / recipe.name), Digests())
