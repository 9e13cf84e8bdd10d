"""What is wanted of both colors, and how far a release has come. Changed by commands, followed by the supervisor."""

import enum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from intently_release.colors import Color, Weights
from intently_release.state.history import Entry


class Phase(enum.StrEnum):
    """How far a release has come."""

    STARTING = "starting"
    CHECKING = "checking"
    SHIFTING = "shifting"
    BAKING = "baking"
    ABORTING = "aborting"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_bundle(bundle: Path | None) -> Path | None:
    if bundle is not None and not bundle.is_absolute():
        raise ValueError(f"{bundle} is no absolute path: commands and the supervisor may run in different folders")
    return bundle


def _checked_weights(weights: Weights) -> Weights:
    if set(weights) != set(Color) or sum(weights.values()) != 100:
        given = ", ".join(f"{color} {weight}" for color, weight in weights.items()) or "none"
        raise ValueError(f"weights must name both colors and sum to 100: {given}")
    return weights


class Slot(_Frozen):
    """What one color shall run.

    Attributes:
        bundle: An absolute path; None if it never ran anything.
        revision: Of that bundle; "" while nobody has read it.
        wanted: "running" keeps its servers up, "stopped" lets them drain and end.
        moves: How often the streams that it had open were to move; a server that knew of fewer is told to let them.
    """

    bundle: Annotated[Path | None, AfterValidator(_checked_bundle)] = None
    revision: str = ""
    wanted: Literal["running", "stopped"] = "stopped"
    moves: Annotated[int, Field(ge=0, exclude_if=lambda moves: moves == 0)] = 0

    @model_validator(mode="after")
    def _has_what_it_runs(self) -> Self:
        if self.wanted == "running" and self.bundle is None:
            raise ValueError("a slot without a bundle cannot be running")
        return self


class ReleaseState(_Frozen):
    """A release under way. What is done stands in the history.

    Attributes:
        id: Its name in the history.
        canary: The color that is to take over.
        phase: How far it has come. The share that it has reached stands in the weights.
        reasons: Why it is being aborted, as sentences for operators.
    """

    id: str
    canary: Color
    phase: Phase = Phase.STARTING
    reasons: tuple[str, ...] = ()


class State(_Frozen):
    """All that is wanted.

    Attributes:
        stable: The color that has proven itself.
        weights: Percent of new calls by color; both are named, and they sum to 100.
        slots: By color. A color that is not given is empty and stopped.
        release: None while there is none under way.
        previous: The color that was stable before and is kept for a rollback; None if there is none.
        pending: What the history shall be told once Envoy routes by this, and streams are told to move; None where
            that was done, and of a release that is under way.
    """

    stable: Color
    weights: Annotated[dict[Color, Annotated[int, Field(ge=0)]], AfterValidator(_checked_weights)]
    slots: dict[Color, Slot] = Field(validate_default=True, default={})
    release: ReleaseState | None = None
    previous: Color | None = None
    pending: Annotated[Entry | None, Field(exclude_if=lambda entry: entry is None)] = None

    @field_validator("slots")
    @classmethod
    def _all_slots(cls, slots: dict[Color, Slot]) -> dict[Color, Slot]:
        return {color: slots.get(color, Slot()) for color in Color}

    @property
    def revisions(self) -> dict[Color, str]:
        """What each color serves, as far as it serves and it is known: what callers may pin."""
        return {
            color: slot.revision for color, slot in self.slots.items() if slot.revision and slot.wanted == "running"
        }

    def with_slot(self, color: Color, slot: Slot) -> "State":
        """The same with another slot of this color."""
        return self.changed(slots={**self.slots, color: slot})

    def with_streams_moved(self) -> "State":
        """The same, with streams told to move that are open to the color that is not stable, if it is kept.

        That is: if it runs, and gets no new calls. Streams are opened where the calls go, once Envoy routes by this.
        """
        color = self.stable.other
        slot = self.slots[color]
        if slot.wanted != "running" or self.weights[color] > 0:
            return self
        return self.with_slot(color, slot.model_copy(update={"moves": slot.moves + 1}))

    def with_weights(self, weights: Weights) -> "State":
        """The same with other weights.

        Raises:
            ValueError: if they do not name both colors or do not sum to 100.
        """
        return self.changed(weights=weights)

    def changed(self, **fields: object) -> "State":
        """The same with other fields, checked as if it was new.

        Raises:
            ValueError: if a field is unknown, or the state would not be a valid one.
        """
        return State.model_validate({**{name: getattr(self, name) for name in State.model_fields}, **fields})
