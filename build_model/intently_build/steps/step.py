"""What a step is, and the record that it leaves beside its result."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from intently_build.steps.journal import Journal

RECORD = "step.json"
Proof: TypeAlias = dict[str, Any]  # what was checked, with figures: plain JSON


@dataclass(frozen=True)
class Step:
    """One step of a build.

    Attributes:
      name: for people.
      folder: where its result will stand.
      inputs: the files and folders that the result depends on; the name of each says what it is for.
      settings: what else the result depends on, as plain JSON.
      make: writes the result into the folder that it is given, and returns what it proved.
      tools: distributions whose versions are recorded. Another version does not make a result invalid.
      record: the folder that the record is written to, if not that of the result.
      changing: names of files of the result that others may change later.
      shows_progress: whether it shows its own progress on the terminal; else the terminal shows that it is at work.
      version: of what makes it. It is raised with every change of ours after which the same inputs and settings give
        other bytes, so that no result of the former program passes for one of this.
    """

    name: str
    folder: Path
    inputs: Mapping[str, Path]
    settings: Mapping[str, Any]
    make: Callable[[Path, Journal], Proof]
    tools: tuple[str, ...] = ()
    record: Path | None = None
    changing: tuple[str, ...] = ()
    shows_progress: bool = False
    version: int = 1

    @property
    def record_file(self) -> Path:
        """Where the record stands once the step is complete."""
        return (self.record or self.folder) / RECORD

    @property
    def place(self) -> str:
        """Where its result stands, if its record stands apart."""
        return place_of(self.folder, self.record) if self.record else ""


@dataclass(frozen=True)
class Record:
    """What `step.json` says.

    Attributes:
      step: the step's name.
      identity: the digests of its inputs, its settings, and the version of the step: a result of the same identity is
        not made again. Records of before steps had versions name none, which is the first.
      outputs: each file of the result with its SHA-256.
      tools: their versions.
      proof: what was checked.
      seconds: how long it took.
      place: where the result stands, if its record stands apart. A record with an identity of nothing says that the
        result is being made there.
    """

    step: str
    identity: dict[str, Any]
    outputs: dict[str, str]
    tools: dict[str, str] = field(default_factory=dict)
    proof: Proof = field(default_factory=dict)
    seconds: float = 0.0
    place: str = ""

    def to_json(self) -> str:
        """Returns the text of `step.json`."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def place_of(folder: Path, record: Path) -> str:
    """Returns how a record in the folder `record` of a run names the place of its result: from the run, if in it."""
    run = record.absolute().parent
    place = folder.absolute()
    return str(place.relative_to(run) if place.is_relative_to(run) else place)


def read_record(path: Path) -> Record | None:
    """Returns the record in the file, or None if there is none that can be read."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
