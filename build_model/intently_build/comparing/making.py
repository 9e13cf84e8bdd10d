"""Bundles of one classifier, one for each format; each made once, and kept."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.comparing.machine import Machine
from intently_build.comparing.subject import Subject
from intently_build.errors import BuildError
from intently_build.package import package_step
from intently_build.planning.formats import FORMATS
from intently_build.planning.gpus import Gpu, support
from intently_build.quantize_step import quantize_step
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.formats import find_format
from intently_build.quantizing.preflight import GROUP_SIZES, cpu_warnings
from intently_build.recipe import Quantize
from intently_build.running import perform
from intently_build.steps.journal import Journal
from intently_build.steps.step import Step

REFERENCE = "bf16"  # what the others are compared with
BUNDLES, QUANTIZED, RECORDS = "bundles", "quantized", "records"  # folders of a comparison


@dataclass(frozen=True)
class Made:
    """A format's bundle, or why there is none."""

    name: str
    folder: Path | None
    reason: str = ""


@dataclass(frozen=True)
class Maker:
    """Makes the bundles.

    Attributes:
      subject: the classifier.
      folder: of the comparison.
      target: the GPU that the formats are for.
      machine: what serves them here.
      group_size: weights that share a scale in the formats with groups, or None for what the recipe says, or else for
        the greatest that divides every layer.
      samples: training rows that the tools look at, or None for what the recipe says.
      journal: where it tells how far it is.
    """

    subject: Subject
    folder: Path
    target: Gpu
    machine: Machine
    group_size: int | None
    samples: int | None
    journal: Journal

    def make(self, name: str) -> Made:
        """Returns the bundle in that format, made now or before; or why it cannot be made.

        Raises BuildError if it is the reference that cannot.
        """
        found = support(self.target, FORMATS[name])
        unfit = None if found.runs else f"{self.target.name} does not run it: {found.how}"
        try:
            self._make(name, unfit)
        except BuildError as error:
            if name == REFERENCE:
                raise
            self.journal.say(f"{name}: left out: {error}")
            return Made(name, None, str(error))
        return Made(name, self._bundle(name))

    def _make(self, name: str, unfit: str | None) -> None:
        if unfit:
            raise BuildError(unfit)
        subject = self.subject
        self.journal.say(f"{name}: {self._bundle(name)}")
        if name == REFERENCE:
            perform([lambda: self._packaged(name, subject.folder)], subject.digests, self.journal)
            return
        settings = self._settings(name)
        quantized = self.folder / QUANTIZED / name
        perform(
            [
                lambda: quantize_step(subject.path, subject.recipe, subject.folder, quantized, settings),
                lambda: self._packaged(name, quantized),
            ],
            subject.digests,
            self.journal,
        )

    def _bundle(self, name: str) -> Path:
        return self.folder / BUNDLES / name

    def _packaged(self, name: str, checkpoint: Path) -> Step:
        return package_step(
            self.subject.contents(checkpoint), self._bundle(name), self.folder / RECORDS / name / "package"
        )

    def _settings(self, name: str) -> Quantize:
        linears = read_checkpoint(self.subject.folder).linears
        stated = self.subject.recipe.quantize
        dividing = (size for size in GROUP_SIZES if all(inputs % size == 0 for _, inputs in linears.values()))
        group_size = self.group_size or (stated.group_size if stated else next(dividing, GROUP_SIZES[0]))
        if not self.machine.on_gpu and (unserved := cpu_warnings(find_format(name), linears)):
            raise BuildError(unserved[0])
        samples = self.samples or (stated or Quantize(to="int8")).samples
        return Quantize.model_validate({"to": name, "group_size": group_size, "samples": samples})
