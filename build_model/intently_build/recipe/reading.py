"""Reads recipes, and names what is wrong with one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from intently_build.errors import BuildError
from intently_build.recipe.pretraining import PretrainRecipe
from intently_build.recipe.recipe import (
    AdapterRecipe,
    AdaptRecipe,
    DistillRecipe,
    PublishedRecipe,
    Recipe,
    ScratchRecipe,
)
from intently_build.recipe.section import Section
from intently_build.recipe.yaml_text import read_yaml

_Kind = TypeVar("_Kind", bound=Section)


def parse_recipe(text: str, source: str) -> Recipe:
    """Returns the recipe that `text` spells; `source` names it in errors.

    Raises BuildError naming each key that is missing, unknown or out of range.
    """
    content = _content(text, source)
    if "pretrain" in content:
        raise BuildError(f"{source}: makes a base and no bundle; use `intently-build pretrain {source}`")
    return _validated(_kind(content), content, source)


def load_recipe(path: Path) -> tuple[Recipe, str]:
    """Returns the recipe in the file and its text. Raises BuildError."""
    text = _text(path)
    return parse_recipe(text, str(path)), text


def load_pretraining(path: Path) -> PretrainRecipe:
    """Returns the recipe of a base in the file. Raises BuildError."""
    content = _content(_text(path), str(path))
    if "pretrain" not in content:
        raise BuildError(f"{path}: has no section pretrain; `intently-build run {path}` builds it")
    return _validated(PretrainRecipe, content, str(path))


def is_pretraining(path: Path) -> bool:
    """Whether the file is the recipe of a base. Raises BuildError if it cannot be read."""
    return "pretrain" in _content(_text(path), str(path))


def recipe_name(path: Path) -> str:
    """Returns the name of the recipe in the file, of whatever kind it is. Raises BuildError."""
    return load_pretraining(path).name if is_pretraining(path) else load_recipe(path)[0].name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the recipe: {error}") from error


def _content(text: str, source: str) -> Mapping[str, Any]:
    content = read_yaml(text, source)
    if not isinstance(content, Mapping):
        raise BuildError(f"{source}: the recipe: must be a mapping of its sections")
    return content


def _validated(kind: type[_Kind], content: Mapping[str, Any], source: str) -> _Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise BuildError(f"{source}: {'; '.join(_problems(error))}") from error


def _kind(content: Mapping[str, Any]) -> type[Recipe]:
    """Returns what the recipe's own sections say it is; from scratch if they say nothing else."""
    kinds: dict[str, type[Recipe]] = {
        "adapt": AdaptRecipe,
        "adapter": AdapterRecipe,
        "distill": DistillRecipe,
        "published": PublishedRecipe,
    }
    return next((kind for name, kind in kinds.items() if name in content), ScratchRecipe)


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'the recipe'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    ]
