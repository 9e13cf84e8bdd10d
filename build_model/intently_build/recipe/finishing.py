"""The sections on what comes after the model: quantizing, calibration, and the gate of the evaluation."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from intently_build.recipe.section import PositiveInt, Section

OperatingPointName = Literal["keep-99", "keep-95", "balanced"]
Format = Literal["gptq-int4", "autogptq-int4", "int8", "fp8", "awq", "bnb-int8"]


class Quantize(Section):
    """How the weights are stored in the end."""

    to: Format
    group_size: PositiveInt = 128  # weights that share a scale, where the format has groups
    samples: PositiveInt = 128  # training rows that activations are measured on


class Calibration(Section):
    """How confidence becomes outcome. `default_operating_point` gives the bundle's threshold."""

    operating_points: Annotated[tuple[OperatingPointName, ...], Field(min_length=1)]
    default_operating_point: OperatingPointName
    ambiguity_margin: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> Self:
        if self.default_operating_point not in self.operating_points:
            raise ValueError(f"default_operating_point {self.default_operating_point!r} is not in operating_points")
        return self


class Gate(Section):
    """What a bundle may lose against its reference, in points of a hundred."""

    accuracy: Annotated[float, Field(ge=0)] = 0.5
    macro_f1: Annotated[float, Field(ge=0)] = 1.0


class Evaluate(Section):
    """How a bundle is judged."""

    gate: Gate = Gate()
    may_be_chance: bool = False  # package a model no better than a guess, such as one with random weights
