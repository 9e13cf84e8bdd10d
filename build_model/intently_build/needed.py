"""Which other recipes must be run before a recipe: those of its base, its student's beginning, its teachers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from intently_build.adapting.checkpoint import find_base
from intently_build.distilling.teachers import find_teacher
from intently_build.errors import BuildError
from intently_build.pipeline import load_build
from intently_build.pretraining.pretrain import pretraining_identity
from intently_build.recipe import (
    AdapterRecipe,
    AdaptRecipe,
    DistillRecipe,
    is_pretraining,
    load_recipe,
    recipe_name,
)
from intently_build.run_folder import RunFolder


@dataclass(frozen=True)
class _Named:
    """A recipe that another names, and whether what it makes is there."""

    path: Path
    there: bool


def needed_recipes(path: Path, runs: Path) -> list[Path]:
    """Returns the recipes that must be run before the one at `path` can be, those that they build on first.

    One whose run is complete, and was made of what its recipe says now, is not needed. One whose run is gone is not
    needed either where the recipe that names it has its model already.

    Args:
      path: a recipe of a bundle.
      runs: the folder that holds the runs.

    Raises BuildError if recipes build on each other in a circle.
    """
    needed: dict[Path, None] = {}
    _collect(path, runs, needed, (path.resolve(),), _has_model(path, runs))
    return list(needed)


def _collect(path: Path, runs: Path, needed: dict[Path, None], above: tuple[Path, ...], complete: bool) -> bool:
    """Adds what the recipe at `path` needs. Returns whether it needs anything."""
    any_needed = False
    for named in _named(path, runs):
        other = named.path.resolve()
        if other in above:
            raise BuildError(f"{path}: builds on {named.path}, which builds on it")
        if complete and not named.there:
            continue
        below = not is_pretraining(other) and _collect(other, runs, needed, (*above, other), named.there)
        if below or not named.there or _changed(other, runs):
            needed[other] = None
            any_needed = True
    return any_needed


def _named(path: Path, runs: Path) -> Iterator[_Named]:
    """Yields the recipes that the one at `path` names; folders, and what is missing, are looked for later."""
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
                continue
            recipe_name(other)  # raises for what is no recipe
            try:
                find(path, str(name), runs)
            except BuildError:
                yield _Named(other, there=False)
            else:
                yield _Named(other, there=True)


def _changed(path: Path, runs: Path) -> bool:
    """Whether the run of a recipe was made from something else than the recipe and its files say now.

    False where nobody can say, since what the recipe builds on is gone: its result is there.
    """
    run = RunFolder(runs / recipe_name(path))
    try:
        return run.is_another(
            pretraining_identity(path) if is_pretraining(path) else load_build(path, run.path).identity
        )
    except BuildError:
        return False


def _has_model(path: Path, runs: Path) -> bool:
    run = RunFolder(runs / recipe_name(path))
    return run.model.exists() or run.merged.exists()
