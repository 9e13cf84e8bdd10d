"""The sections on rows: where they lie, and what they are called."""

from typing import Annotated

from pydantic import Field

from intently_build.recipe.section import NonEmpty, PositiveInt, Section, Share


class OutOfScopeData(Section):
    """Rows that have none of the intents: JSON Lines files beside the others."""

    intent: NonEmpty  # the name that these rows and the label file give to it
    train: NonEmpty
    validation: NonEmpty
    test: NonEmpty | None = None
    repeat: PositiveInt = 1  # how often a row stands in one epoch


class EarlierData(Section):
    """A data set that a base or a teacher learnt from: for the manifest, and its licence for the bundle.

    `folder` is relative to the recipe, the others are files in it.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    folder: NonEmpty
    license: NonEmpty  # SPDX identifier
    attribution: NonEmpty
    notices: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]
    train: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]


class Data(Section):
    """Where the rows, their labels and their licence lie; files are relative to `folder`, that to the recipe."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    folder: NonEmpty
    license: NonEmpty  # SPDX identifier
    attribution: NonEmpty
    notices: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]  # copied into the bundle
    labels: NonEmpty
    description_field: NonEmpty = "description"
    domain_field: str | None = None
    train: NonEmpty
    validation: NonEmpty
    test: NonEmpty | None = None  # none where the test rows are kept from whoever builds
    out_of_scope: OutOfScopeData | None = None
    repeated_test_rows: Share = 0.002  # of the test rows, at most so many may be training or validation rows too
