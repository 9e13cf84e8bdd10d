"""Which other recipes a recipe builds on: its base, its student's beginning, its teachers."""

from collections.abc import Iterator
from pathlib import Path

from intently_build.adapting.checkpoint import find_base
from intently_build.distilling.teachers import find_teacher
from intently_build.errors import BuildError
from intently_build.recipe import AdapterRecipe, AdaptRecipe, DistillRecipe, is_pretraining, load_recipe, recipe_name


def needed_recipes(path: Path, runs: Path) -> list[Path]:
    """Returns the recipes that must be run before the one at `path` can be, those that they build on first.

    Args:
      path: a recipe of a bundle.
      runs: the folder that holds the runs; what is complete there is not needed.

    Raises BuildError if recipes build on each other in a circle.
    """
    needed: dict[Path, None] = {}
    _collect(path, runs, needed, (path.resolve(),))
    return list(needed)


def _collect(path: Path, runs: Path, needed: dict[Path, None], above: tuple[Path, ...]) -> None:
    for other in _unbuilt(path, runs):
        if other.resolve() in above:
            raise BuildError(f"{path}: builds on {other}, which builds on it")
        if not is_pretraining(other):
            _collect(other, runs, needed, (*above, other.resolve()))
        needed[other.resolve()] = None


def _unbuilt(path: Path, runs: Path) -> Iterator[Path]:
    """Yields the recipes that the one at `path` names, and whose runs are not complete."""
    recipe, _ = load_recipe(path)
    bases: tuple[str | None, ...] = ()
    teachers: tuple[str, ...] = ()
    if isinstance(recipe, AdaptRecipe):
        bases = (recipe.adapt.base,)
    if isinstance(recipe, AdapterRecipe):
        bases = (recipe.adapter.base,)
    if isinstance(recipe, DistillRecipe):
        bases, teachers = (recipe.distill.student,), recipe.distill.teachers
    for names, find in ((bases, find_base), (teachers, find_teacher)):
        for name in names:
            other = path.parent / name if name and name.endswith((".yaml", ".yml")) else None
            if other is None or not other.is_file():
                continue  # a folder, or what is missing is said when it is looked for
            recipe_name(other)  # raises for what is no recipe
            try:
                find(path, str(name), runs)
            except BuildError:
                yield other
