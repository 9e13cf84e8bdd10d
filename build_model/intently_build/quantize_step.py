"""The step that quantizes the classifier, as one of a run."""

from pathlib import Path

from intently_build.errors import BuildError
from intently_build.layout import prompt_layout
from intently_build.recipe import Quantize, Recipe
from intently_build.rows import split_files
from intently_build.steps.journal import LOGS, Journal
from intently_build.steps.step import Proof, Step


def quantize_step(
    recipe_path: Path, recipe: Recipe, checkpoint: Path, folder: Path, instead: Quantize | None = None
) -> Step:
    """Returns the step that quantizes `checkpoint` by the recipe's training rows, in the prompt that they are asked in.

    It does so as the recipe says, or as `instead` says. Raises BuildError if neither says anything.
    """
    settings = instead or recipe.quantize
    if settings is None:
        raise BuildError(f"{recipe_path}: has no section quantize")
    rows = recipe_path.parent / recipe.data.folder
    calibration = rows / recipe.data.train
    tests = tuple(split_files(rows, recipe.data, "test")) if recipe.data.test else ()

    def make(partial: Path, journal: Journal) -> Proof:
        from intently_build.quantizing.quantize import Request, quantize

        found = quantize(
            Request(
                checkpoint=checkpoint,
                form=settings.to,
                output=partial,
                calibration=calibration,
                tests=tests,
                leave_out_test=True,  # the recipe says how many rows may stand in both
                layout=prompt_layout(recipe.prompt),
                group_size=settings.group_size,
                samples=settings.samples,
                replace=True,
                log=folder.parent / LOGS / "quantize.log",
            ),
            journal.console,
        )
        return (
            {} if found is None else {"linears": found.linears, "bytes_before": found.size_before, "bytes": found.size}
        )

    inputs = {"checkpoint": checkpoint, "rows": calibration}
    inputs |= {f"test {place}": path for place, path in enumerate(tests)}
    stated = settings.model_dump(mode="json") | {"prompt": recipe.prompt.model_dump(mode="json")}
    return Step("quantize", folder, inputs, stated, make, shows_progress=True)
