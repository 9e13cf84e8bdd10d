"""What a comparison found, and the file that keeps it: all that `choose` decides by, every figure measured."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from intently_build.comparing.machine import Machine
from intently_build.errors import BuildError
from intently_build.evaluation.figures import BundleResult, Level
from intently_build.evaluation.pareto import pareto_front
from intently_build.evaluation.report.json_report import write_text

RESULTS = "results.json"


@dataclass(frozen=True)
class Choice:
    """A bundle that was measured. Shares are 0 to 1; what was lost against the reference is in points (hundredths).

    Attributes:
      name: of the format.
      bundle: its folder, relative to the file.
      stored: how its weights are stored, in words.
      memory_bytes: what the server held at most while it answered: of the GPU's memory where a GPU computes, of the
        host's where a CPU does. None if it could not be read.
      levels: how fast it answered, by calls under way, rising; none where no server answered.
    """

    name: str
    bundle: str
    revision: str
    stored: str
    engine: str
    accuracy: float
    macro_f1: float
    accuracy_lost: float
    macro_f1_lost: float
    bytes_on_disk: int
    memory_bytes: int | None
    levels: tuple[Level, ...]

    @property
    def calls_per_second(self) -> float | None:
        """The most calls that were answered in a second, at whatever number under way; None if it was not measured."""
        return max((level.calls_per_second for level in self.levels), default=None)


@dataclass(frozen=True)
class Missing:
    """A format that was not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Compared:
    """A comparison.

    Attributes:
      recipe: its name.
      target: the GPU that the formats were chosen for, as `--gpu` has it.
      machine: what all figures were measured on.
      split: which rows: "validation", "test", or "rows" of a file.
      reference: name of the unquantized bundle.
      dtype, kv_cache_gib: how the server was set; the cache counts as memory.
      front: names of the bundles than which no other is as good in all of accuracy, speed, memory and size, and better
        in one.
    """

    recipe: str
    target: str
    machine: Machine
    dataset: str
    split: str
    in_scope_rows: int
    out_of_scope_rows: int
    data_sha256: tuple[str, ...]
    reference: str
    dtype: str
    kv_cache_gib: float
    choices: tuple[Choice, ...]
    missing: tuple[Missing, ...]
    front: tuple[str, ...]
    format: Literal[1] = 1


def choice(result: BundleResult, bundle: str, machine: Machine) -> Choice:
    """Returns what of an evaluation's result matters to the choice."""
    found, lost = result.performance, result.comparison
    levels: tuple[Level, ...] = ()
    memory = None
    if found:
        levels = found.levels or (Level(found.in_flight, found.calls, found.seconds, found.p50_ms, found.p99_ms),)
        memory = found.peak_gpu_memory_bytes if machine.on_gpu else found.peak_memory_bytes
    return Choice(
        name=result.name,
        bundle=bundle,
        revision=result.revision,
        stored=result.format,
        engine=result.engine,
        accuracy=result.quality.accuracy,
        macro_f1=result.quality.macro_f1,
        accuracy_lost=lost.accuracy_lost if lost else 0.0,
        macro_f1_lost=lost.macro_f1_lost if lost else 0.0,
        bytes_on_disk=result.bytes_on_disk,
        memory_bytes=memory,
        levels=levels,
    )


def front(choices: tuple[Choice, ...]) -> tuple[str, ...]:
    """Returns the names on the Pareto front. What was measured of only some of them is left out of account."""
    prices = [
        (each.calls_per_second, each.memory_bytes and -each.memory_bytes, -each.bytes_on_disk) for each in choices
    ]
    counted = [place for place in range(3) if all(price[place] is not None for price in prices)]
    points = [
        (each.accuracy, *(float(price[place] or 0) for place in counted))
        for each, price in zip(choices, prices, strict=True)
    ]
    chosen = set(pareto_front(points))
    return tuple(each.name for place, each in enumerate(choices) if place in chosen)


def write_compared(path: Path, compared: Compared) -> None:
    """Writes the file. Raises BuildError if it cannot."""
    try:
        write_text(path, json.dumps(asdict(compared), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise BuildError(f"{path}: cannot write the results: {error}") from error


def read_compared(path: Path) -> Compared:
    """Returns what the file, or the file of that name in a folder, says. Raises BuildError."""
    file = path / RESULTS if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{file}: cannot read the results: {error}; `intently-build compare` writes them") from error
    try:
        return TypeAdapter(Compared).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BuildError(f"{file}: not results of a comparison: {where}: {first['msg']}") from error
