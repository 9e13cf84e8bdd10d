"""A recipe: the YAML file that says how one bundle is made, from data to operating points."""

from intently_build.recipe.adapting import Adapt, Adapter, Lora, Published
from intently_build.recipe.data import Data, OutOfScopeData
from intently_build.recipe.finishing import Calibration, Evaluate, Gate, Quantize
from intently_build.recipe.prompt import Example, Limits, PromptText, Turns
from intently_build.recipe.reading import load_recipe, parse_recipe
from intently_build.recipe.recipe import AdapterRecipe, AdaptRecipe, PublishedRecipe, Recipe, ScratchRecipe
from intently_build.recipe.training import Architecture, Noise, TokenizerSize, Training

__all__ = [
    "Adapt",
    "AdaptRecipe",
    "Adapter",
    "AdapterRecipe",
    "Architecture",
    "Calibration",
    "Data",
    "Evaluate",
    "Example",
    "Gate",
    "Limits",
    "Lora",
    "Noise",
    "OutOfScopeData",
    "PromptText",
    "Published",
    "PublishedRecipe",
    "Quantize",
    "Recipe",
    "ScratchRecipe",
    "TokenizerSize",
    "Training",
    "Turns",
    "load_recipe",
    "parse_recipe",
]
