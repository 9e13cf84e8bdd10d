"""A recipe: what every one has, and the five ways in which the model comes to be."""

import hashlib
from typing import Annotated, Self

from pydantic import Field, model_validator

from intently_build.recipe.adapting import Adapt, Adapter, Published
from intently_build.recipe.data import Data, EarlierData
from intently_build.recipe.distilling import Distill
from intently_build.recipe.finishing import Calibration, Evaluate, Quantize
from intently_build.recipe.prompt import Example, Limits, PromptText
from intently_build.recipe.section import NonEmpty, Section
from intently_build.recipe.training import Architecture, TokenizerSize, Training


class Recipe(Section):
    """All that a bundle is made from, but for the model."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    languages: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]  # BCP-47
    label_set_version: NonEmpty
    data: Data
    earlier_data: tuple[EarlierData, ...] = ()  # that a base or teachers learnt from
    prompt: PromptText
    limits: Limits = Limits()
    calibration: Calibration
    golden: Annotated[tuple[Example, ...], Field(min_length=1)]
    quantize: Quantize | None = None
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _balance_needs_rows(self) -> Self:
        if "balanced" in self.calibration.operating_points and self.data.out_of_scope is None:
            raise ValueError("calibration.operating_points: 'balanced' needs data.out_of_scope")
        return self

    def _fingerprint(self, sections: set[str]) -> str:
        # What is allowed to be in the test rows changes no training.
        parts = self.model_dump_json(include=sections, exclude={"data": {"repeated_test_rows"}})
        return hashlib.sha256(parts.encode()).hexdigest()


class ScratchRecipe(Recipe):
    """A tokenizer and a causal model that are trained here, from nothing but the rows."""

    tokenizer: TokenizerSize
    model: Architecture
    training: Training

    def training_fingerprint(self) -> str:
        """Returns a SHA-256 over what the training depends on: a run made under another one is another model."""
        return self._fingerprint({"data", "prompt", "limits", "tokenizer", "model", "training"})


class DistillRecipe(Recipe):
    """A model that learns from others: from scratch, or from a checkpoint that `distill.student` names."""

    distill: Distill
    tokenizer: TokenizerSize | None = None
    model: Architecture | None = None
    training: Training

    @model_validator(mode="after")
    def _has_one_student(self) -> Self:
        made = self.tokenizer is not None and self.model is not None
        if made == (self.distill.student is not None):
            raise ValueError("the student: give tokenizer and model, or distill.student, and not both")
        return self

    def training_fingerprint(self) -> str:
        """Returns a SHA-256 over what the training depends on, but for the teachers' and the student's weights."""
        return self._fingerprint({"data", "prompt", "limits", "distill", "tokenizer", "model", "training"})


class AdaptRecipe(Recipe):
    """A base that is adapted here, by LoRA."""

    adapt: Adapt
    training: Training

    @model_validator(mode="after")
    def _a_trained_head_has_no_vocabulary(self) -> Self:
        if self.adapt.head == "trained" and self.training.utterance_loss:
            raise ValueError("training.utterance_loss: a trained head has no language-model head to learn with; set 0")
        return self

    def training_fingerprint(self) -> str:
        """Returns a SHA-256 over what the training depends on, but for the base's weights."""
        return self._fingerprint({"data", "prompt", "limits", "adapt", "training"})


class AdapterRecipe(Recipe):
    """A base and an adapter that was trained elsewhere."""

    adapter: Adapter


class PublishedRecipe(Recipe):
    """A checkpoint of others that answers without being trained."""

    published: Published
