"""What the supervisor runs, as it tells everybody else."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from intently_release.errors import StateProblem
from intently_release.layout import Layout
from intently_release.state.files import replace_file
from intently_release.state.lock import Holder, holder_of


class Seen(BaseModel):
    """One process, as it was when something about it changed last.

    Attributes:
        pid: None while it does not run.
        started_at: When it was started; None while it does not run.
        ready: Whether it was SERVING since then, and has not been told to end.
        stopping: Whether it was told to end.
        restarts: How often it was started again after it had died, on this bundle.
        last_exit: How it ended last, in words; "" if it never did.
        bundle, revision: What it runs; None and "" of Envoy.
        moves: How often it was to let its streams move, and was told or had none: see `Slot`.
        deaf: Whether it could not be told so the last time: it would not have understood.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int | None = None
    started_at: AwareDatetime | None = None
    ready: bool = False
    stopping: bool = False
    restarts: int = 0
    last_exit: str = ""
    bundle: Path | None = None
    revision: str = ""
    moves: Annotated[int, Field(ge=0, exclude_if=lambda moves: moves == 0)] = 0
    deaf: Annotated[bool, Field(exclude_if=lambda deaf: not deaf)] = False


Observed = dict[str, Seen]
"""By the name of the process: "envoy", "blue-0", "green-0" and so on."""

_OBSERVED = TypeAdapter(Observed)


def read_observed(layout: Layout) -> Observed:
    """What the supervisor runs, or ran last: only `supervisor_of` says whether there is one. Empty if there was none.

    Raises:
        StateProblem: names the file and what is wrong with it.
    """
    try:
        return _OBSERVED.validate_json(layout.observed.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise StateProblem(f"{layout.observed} cannot be read; it may be deleted: {_first_line(error)}") from error


def write_observed(layout: Layout, observed: Observed) -> None:
    """Replaces it whole. Only the supervisor may.

    Raises:
        StateProblem: names the file and what is wrong with it.
    """
    try:
        replace_file(layout.observed, _OBSERVED.dump_json(observed, indent=2).decode() + "\n")
    except OSError as error:
        raise StateProblem(f"cannot write {layout.observed}: {error.strerror}") from error


def supervisor_of(layout: Layout) -> Holder | None:
    """The supervisor that runs now, if any."""
    return holder_of(layout.supervisor_lock)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
