"""What a bundle was made of, by what and when: for its manifest."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from intently_build.adapting.checkpoint import read_json
from intently_build.errors import BuildError
from intently_build.quantizing.outcome import RECORD as QUANTIZED
from intently_build.recipe import AdapterRecipe, AdaptRecipe, DistillRecipe, PublishedRecipe, Recipe
from intently_build.run_folder import TRAINING, RunFolder
from intently_build.steps.step import RECORD, read_record

EPOCH = "SOURCE_DATE_EPOCH"  # seconds since 1970: the convention of reproducible-builds.org
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
      created: seconds since 1970. Not the time of packaging, so that the same checkpoint gives the same bytes.
      base_model: the base, or empty.
      adapter: the adapter, or empty.
      parameters: of the model before its head was cut out.
      tools: versions of what made it.
      teachers: who it was distilled from.
    """

    created: int
    base_model: str
    adapter: str
    parameters: int
    tools: dict[str, str]
    teachers: tuple[str, ...] = ()


def read_origin(recipe: Recipe, run: RunFolder, given: Path | None) -> Origin:
    """Returns the origin of the model that lies in `run`, complete.

    Args:
      recipe: what made it.
      run: where it lies.
      given: the folder of weights that were not made by the recipe, if it names some.

    Raises BuildError.
    """
    if isinstance(recipe, AdaptRecipe):
        made = read_json(run.adapter / TRAINING, "run it again")
        adapter = f"LoRA of rank {recipe.adapt.lora.r}, trained by this recipe"
        created = _created(made.get("finished"), run.adapter.glob(WEIGHTS))
        return _merged_origin(run, created, recipe.adapt.base, adapter, dict(made["tools"]))
    if isinstance(recipe, AdapterRecipe):
        created = _created(None, (given or run.merged).glob(WEIGHTS))
        return _merged_origin(run, created, recipe.adapter.base, recipe.adapter.folder, {})
    if isinstance(recipe, PublishedRecipe):
        return _published_origin(recipe, run, given)
    made = read_json(run.model / TRAINING, "train it again")
    created = _created(made.get("finished"), run.model.glob(WEIGHTS))
    return Origin(created, _student(recipe), "", int(made["parameters"]), dict(made["tools"]), _teachers(run))


def _published_origin(recipe: PublishedRecipe, run: RunFolder, given: Path | None) -> Origin:
    record = read_record(run.head / RECORD)
    if record is None or given is None:
        raise BuildError(f"{run.head}: no record of the head there; run it again")
    base = f"{recipe.published.checkpoint} (SHA-256 of its files: {record.identity['inputs']['model']})"
    return Origin(_created(None, given.glob(WEIGHTS)), base, "", int(record.proof["parameters"]), record.tools)


def quantized_origin(origin: Origin, checkpoint: Path) -> Origin:
    """Returns the origin with the tools that quantized `checkpoint`, if it was. Raises BuildError."""
    if not (checkpoint / QUANTIZED).is_file():
        return origin
    tools = read_json(checkpoint / QUANTIZED, "quantize it again").get("tools") or {}
    return replace(origin, tools=origin.tools | {name: str(version) for name, version in tools.items()})


def _student(recipe: Recipe) -> str:
    return (recipe.distill.student or "") if isinstance(recipe, DistillRecipe) else ""


def _teachers(run: RunFolder) -> tuple[str, ...]:
    """Returns the teachers with their revisions, and the n-grams if they were asked; none if nobody was."""
    record = read_record(run.teaching / RECORD)
    if record is None:
        return ()
    revisions: dict[str, str] = record.identity["settings"]["teachers"]
    named = tuple(f"{name} (revision {revision})" for name, revision in revisions.items())
    return (*named, "n-grams") if record.identity["settings"]["distill"]["ngrams"] else named


def given_time() -> int | None:
    """Returns the seconds in SOURCE_DATE_EPOCH, or None without it. Raises BuildError if it is no number."""
    epoch = os.environ.get(EPOCH)
    if epoch is None:
        return None
    if not epoch.isdecimal():
        raise BuildError(f"{EPOCH}={epoch}: must be a number of seconds since 1970")
    return int(epoch)


def _created(finished: object, weights: Iterable[Path]) -> int:
    """Returns SOURCE_DATE_EPOCH, or when the training was finished, or else how old the weights are."""
    given = given_time()
    if given is not None:
        return given
    if isinstance(finished, str):
        return int(datetime.strptime(finished, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    return int(max(path.stat().st_mtime for path in weights))


def _merged_origin(run: RunFolder, created: int, base: str, adapter: str, tools: dict[str, str]) -> Origin:
    record = read_record(run.merged / RECORD)
    if record is None:
        raise BuildError(f"{run.merged}: no record of the merging there; run it again")
    proof = record.proof
    return Origin(
        created,
        f"{base} (SHA-256 of the weights: {proof['base_sha256']})",
        f"{adapter} (SHA-256: {proof['adapter_sha256']})",
        int(proof["parameters"]),
        record.tools | tools,
    )
