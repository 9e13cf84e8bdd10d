"""Reads recipes, and names what is wrong with one."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from intently_build.errors import BuildError
from intently_build.recipe.recipe import AdapterRecipe, AdaptRecipe, PublishedRecipe, Recipe, ScratchRecipe


def parse_recipe(text: str, source: str) -> Recipe:
    """Returns the recipe that `text` spells; `source` names it in errors.

    Raises BuildError naming each key that is missing, unknown or out of range.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return _kind(content).model_validate(content)
    except ValidationError as error:
        raise BuildError(f"{source}: {'; '.join(_problems(error))}") from error


def load_recipe(path: Path) -> tuple[Recipe, str]:
    """Returns the recipe in the file and its text. Raises BuildError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the recipe: {error}") from error
    return parse_recipe(text, str(path)), text


def _kind(content: object) -> type[Recipe]:
    """Returns what the recipe's own sections say it is; from scratch if they say nothing else."""
    sections: Mapping[object, object] = content if isinstance(content, Mapping) else {}
    kinds: dict[str, type[Recipe]] = {"adapt": AdaptRecipe, "adapter": AdapterRecipe, "published": PublishedRecipe}
    return next((kind for name, kind in kinds.items() if name in sections), ScratchRecipe)


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'the recipe'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    ]
