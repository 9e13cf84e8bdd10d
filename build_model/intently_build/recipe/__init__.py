"""A recipe: the YAML file that says how one bundle is made, from data to operating points."""

from intently_build.recipe.adapting import Adapt, Adapter, Lora, Published
from intently_build.recipe.data import Data, EarlierData, OutOfScopeData
from intently_build.recipe.distilling import Alter, Distill
from intently_build.recipe.finishing import Calibration, Evaluate, Gate, Quantize
from intently_build.recipe.pretraining import Pretrain, PretrainRecipe, Source
from intently_build.recipe.prompt import Example, Limits, PromptText, Turns
from intently_build.recipe.reading import is_pretraining, load_pretraining, load_recipe, parse_recipe, recipe_name
from intently_build.recipe.recipe import (
    AdapterRecipe,
    AdaptRecipe,
    DistillRecipe,
    PublishedRecipe,
    Recipe,
    ScratchRecipe,
)
from intently_build.recipe.training import Architecture, Noise, Schedule, TokenizerSize, Training
from intently_build.recipe.yaml_text import read_yaml

__all__ = [
    "Adapt",
    "AdaptRecipe",
    "Adapter",
    "AdapterRecipe",
    "Alter",
    "Architecture",
    "Calibration",
    "Data",
    "Distill",
    "DistillRecipe",
    "EarlierData",
    "Evaluate",
    "Example",
    "Gate",
    "Limits",
    "Lora",
    "Noise",
    "OutOfScopeData",
    "Pretrain",
    "PretrainRecipe",
    "PromptText",
    "Published",
    "PublishedRecipe",
    "Quantize",
    "Recipe",
    "Schedule",
    "ScratchRecipe",
    "Source",
    "TokenizerSize",
    "Training",
    "Turns",
    "is_pretraining",
    "load_pretraining",
    "load_recipe",
    "parse_recipe",
    "read_yaml",
    "recipe_name",
]
