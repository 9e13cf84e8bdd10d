"""Remembers that what is live has never served: the first start of a run directory, until a call was answered."""

from intently_release.errors import StateProblem
from intently_release.layout import Layout
from intently_release.state import State, replace_file


def note_unproven(layout: Layout, revision: str) -> None:
    """Written before the state itself, so that no kill leaves a first state that passes for a proven one.

    Raises:
        StateProblem: if it cannot be written.
    """
    try:
        replace_file(layout.unproven, revision)
    except OSError as error:
        raise StateProblem(f"cannot write {layout.unproven}: {error.strerror}") from error


def is_unproven(layout: Layout, state: State) -> bool:
    """Whether what is live has never served, and nothing else has."""
    if state.slots[state.stable.other].bundle is not None:
        return False
    try:
        return layout.unproven.read_text(encoding="utf-8") == state.slots[state.stable].revision
    except OSError:
        return False


def prove(layout: Layout) -> None:
    """A call was answered."""
    layout.unproven.unlink(missing_ok=True)
