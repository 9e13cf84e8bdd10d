"""The state file, and the lock of those who change it."""

import contextlib

from pydantic import ValidationError

from intently_release.errors import StateProblem
from intently_release.layout import Layout
from intently_release.state.files import replace_file
from intently_release.state.lock import Holder, holder_of, locked
from intently_release.state.state import State


class Store:
    """Reads and writes what is wanted.

    Args:
        layout: Where.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self) -> State | None:
        """What is wanted; None before anybody wanted anything. Needs no lock: the file is always whole.

        Raises:
            StateProblem: names the file and what is wrong with it.
        """
        path = self._layout.state
        try:
            return State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateProblem(f"cannot read {path}: {error.strerror}") from error
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, each['loc'])) or '(file)'}: {each['msg']}" for each in error.errors())
            raise StateProblem(f"{path} cannot be used: {'; '.join(problems)}") from error

    def write(self, state: State) -> None:
        """Replaces it, durably and whole. Only who holds the lock may.

        Raises:
            StateProblem: names the file and what is wrong with it.
        """
        try:
            replace_file(self._layout.state, state.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise StateProblem(f"cannot write {self._layout.state}: {error.strerror}") from error

    def held(self, command: str) -> contextlib.AbstractContextManager[None]:
        """The lock, for as long as the block runs; `command` is what others are told.

        Raises:
            Busy: if another command has it; the text says which, its pid, and since when.
            StateProblem: if the lock's file cannot be opened.
        """
        return locked(self._layout.lock, command)

    def holder(self) -> Holder | None:
        """The command that has the lock now, if any."""
        return holder_of(self._layout.lock)
