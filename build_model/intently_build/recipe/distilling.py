"""The section on distilling: which teachers are asked, about what, and what a student learns from their answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from intently_build.recipe.section import NonEmpty, Section, Share


class Alter(Section):
    """Altered copies of the utterances, on which teachers are asked too. Shares, 0 to 1; each copy is drawn anew."""

    copies: Annotated[int, Field(ge=0)] = 0  # of each utterance
    unit: Literal["word", "character"] = "word"  # character: for languages that do not part words
    drop: Share = 0.1  # of the units
    swap: Share = 0.05  # of the units, exchanged with their neighbours
    replace: Share = 0.1  # of the units, by one of another utterance
    splice: Share = 0.3  # of the copies: the beginning of one utterance and the end of another


class Distill(Section):
    """Teachers and what is learnt from them.

    A teacher is a bundle, or a recipe whose run made one; both are relative to this recipe, and a run is looked for
    beside this one's. Their probabilities are averaged. `student` is a causal checkpoint to begin with, relative to
    the recipe; without it, the student is made from scratch as `tokenizer` and `model` say.
    """

    teachers: tuple[NonEmpty, ...] = ()
    ngrams: Share = 0.0  # weight, among the teachers, of a linear model over n-grams that is fitted on the rows
    student: NonEmpty | None = None
    unlabelled: tuple[NonEmpty, ...] = ()  # JSON Lines with `text`, in the folder of the rows
    alter: Alter = Alter()
    temperature: Annotated[float, Field(gt=0)] = 1.0  # that softens both sides
    soft: Annotated[float, Field(ge=0)] = 1.0  # weight of the divergence from the teachers (KL)
    hard: Annotated[float, Field(ge=0)] = 0.5  # weight of the cross-entropy on rows whose intent is known
    states: Annotated[float, Field(ge=0)] = 0.0  # weight of how alike pairs of utterances are in the last hidden state

    @model_validator(mode="after")
    def _has_what_it_learns_from(self) -> Self:
        if not self.teachers and not self.ngrams:
            raise ValueError("teachers: none; name a bundle or a recipe")
        if self.states and len(self.teachers) != 1:
            raise ValueError("states: hidden states are those of one teacher; name one, or set 0")
        return self
