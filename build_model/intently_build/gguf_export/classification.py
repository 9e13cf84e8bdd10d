"""What an exported model is asked, and what its answers mean: prompt, labels, code tokens, and rows to prove it on."""

from dataclasses import dataclass
from pathlib import Path

from intently_build.bundles.manifest import MANIFEST, read_manifest
from intently_build.errors import BuildError
from intently_build.layout import prompt_layout
from intently_build.prompt import PromptLayout
from intently_build.recipe import Recipe, load_recipe, parse_recipe
from intently_build.rows import Row, read_labels, read_split


@dataclass(frozen=True)
class Classification:
    """The part of a recipe that an export needs.

    Attributes:
      name: of the model.
      layout: the fixed pieces of the prompt.
      labels: the label of each row of the head, out of scope last.
      codes: the token that stands for each of them.
      tokens: that a prompt may have.
      rows: validation rows, evenly from all of them.
    """

    name: str
    layout: PromptLayout
    labels: tuple[str, ...]
    codes: tuple[str, ...]
    tokens: int
    rows: tuple[Row, ...]


def read_classification(checkpoint: Path, recipe: Path | None, rows: int) -> Classification:
    """Returns what a recipe says.

    Args:
      checkpoint: what is exported; without a recipe it must be a bundle, whose manifest has one.
      recipe: its file.
      rows: how many validation rows are wanted; none are read for 0.

    Raises BuildError if there is no recipe, or no tokens stand for its labels.
    """
    from intently_build.head_step import code_tokens

    found, folder = _recipe(checkpoint, recipe)
    labels = read_labels(folder, found.data)
    codes = code_tokens(found, len(labels.names))
    if not codes:
        raise BuildError(
            f"{checkpoint}: its head was trained, so no token stands for a label; GGUF answers with tokens"
        )
    split = read_split(folder, found.data, labels, "validation") if rows else None
    every = (*split.in_scope, *split.out_of_scope) if split else ()
    chosen = tuple(every[place * len(every) // rows] for place in range(min(rows, len(every)))) if rows else ()
    return Classification(
        found.name, prompt_layout(found.prompt), labels.names, codes, found.limits.max_input_tokens, chosen
    )


def _recipe(checkpoint: Path, path: Path | None) -> tuple[Recipe, Path]:
    """Returns the recipe, and the folder of its rows."""
    if path is not None:
        recipe, _ = load_recipe(path)
        return recipe, path.parent / recipe.data.folder
    if not (checkpoint / MANIFEST).is_file():
        raise BuildError(f"{checkpoint}: no bundle; give the --recipe that says its prompt and labels")
    recipe = parse_recipe(read_manifest(checkpoint).origin.recipe, f"{checkpoint}: the recipe in the manifest")
    return recipe, checkpoint.resolve().parent / recipe.data.folder
