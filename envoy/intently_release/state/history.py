"""What was done, a line of JSON each, only ever appended."""

import enum
import errno
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from intently_release.colors import Color, Weights
from intently_release.errors import StateProblem
from intently_release.layout import Layout

logger = logging.getLogger(__name__)


class Event(enum.StrEnum):
    """What happened."""

    STARTED = "started"
    SHIFTED = "shifted"
    PROMOTED = "promoted"
    MOVED = "streams moved"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"
    ROLLED_BACK = "rolled back"
    DRAINED = "drained"


class Entry(BaseModel):
    """One thing that was done.

    Attributes:
        event: What.
        at: When.
        release: The release's id; "" if it was none of one.
        color: The color it was about.
        bundle, revision: What that color ran.
        weights: As they were afterwards.
        reasons: Why, as sentences for operators.
    """

    # What a later version adds to a line is left out: what was done must stay readable after a step back.
    model_config = ConfigDict(frozen=True, extra="ignore")

    event: Event
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    release: str = ""
    color: Color | None = None
    bundle: Path | None = None
    revision: str = ""
    weights: Weights | None = None
    reasons: tuple[str, ...] = ()


class History:
    """Appends, and reads what was appended.

    Args:
        layout: Where.
    """

    def __init__(self, layout: Layout) -> None:
        self._path = layout.history

    def append(self, entry: Entry) -> None:
        """Adds a line, durably, by one write: others may append at the same time. A torn last line is ended first.

        Raises:
            StateProblem: names the file and what is wrong with it.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+", buffering=0) as file:
                torn = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
                line = b"\n" * torn + entry.model_dump_json().encode() + b"\n"
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise StateProblem(f"cannot write {self._path}: {error.strerror}") from error

    def entries(self) -> tuple[Entry, ...]:
        """All that was done, the oldest first. Lines that a kill has torn are left out, and the log names them.

        Raises:
            StateProblem: if the file is there and cannot be read.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StateProblem(f"cannot read {self._path}: {error.strerror}") from error
        read = (self._entry(number, line) for number, line in enumerate(lines, start=1) if line.strip())
        return tuple(entry for entry in read if entry is not None)

    def _entry(self, number: int, line: bytes) -> Entry | None:
        try:
            return Entry.model_validate_json(line)
        except ValidationError:
            logger.warning("%s, line %d cannot be read and is left out", self._path, number)
            return None
