"""What every section of a recipe is, and the kinds of numbers and texts in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
NonEmpty = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe: frozen, and a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
