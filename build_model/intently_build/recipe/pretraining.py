"""A recipe of a base: a tokenizer and a causal model that learns to go on with texts, for others to build on."""

import hashlib
from typing import Annotated

from pydantic import Field

from intently_build.recipe.section import NonEmpty, PositiveInt, Section
from intently_build.recipe.training import Architecture, Schedule, TokenizerSize

RowFiles = Annotated[tuple[NonEmpty, ...], Field(min_length=1)]


class Source(Section):
    """A data set whose utterances are read, and the words that say what each intent means.

    `folder` is relative to the recipe; the others are files in it.
    """

    folder: NonEmpty
    labels: NonEmpty
    description_field: NonEmpty = "description"
    train: RowFiles
    validation: RowFiles


class Pretrain(Section):
    """What a base reads: each utterance, and after it the words for what its user wants."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    test: tuple[NonEmpty, ...] = ()  # test rows of what is built on it, relative to the recipe: none of them is read
    utterance_open: NonEmpty
    suffix: NonEmpty  # between the utterance and the words
    close: NonEmpty  # after the words


class PretrainRecipe(Section):
    """All that a base is made from. It ends with a causal checkpoint, not with a bundle."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    pretrain: Pretrain
    positions: PositiveInt = 1024  # the longest prompt of what is built on it, in tokens
    tokenizer: TokenizerSize
    model: Architecture
    training: Schedule

    def training_fingerprint(self) -> str:
        """Returns a SHA-256 over what the training depends on but for the files' bytes."""
        parts = self.model_dump_json(exclude={"name": True, "pretrain": {"test"}})  # test rows are among the files
        return hashlib.sha256(parts.encode()).hexdigest()
