"""The list of studies, the most important first, and how one after the other is done."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from support.benchmarks import curves, load, operating
from support.benchmarks.asked import Asked
from support.benchmarks.blue_green import blue_green
from support.benchmarks.figures import brief
from support.benchmarks.record import Record
from support.benchmarks.tables import of_notes
from support.benchmarks.world import World


@dataclass(frozen=True, slots=True)
class Study:
    """One of them.

    Attributes:
        name: Of its file.
        limit_s: After so long it is given up; what it has measured is kept.
        work: Does it.
        asked_for: Whether it is done only where it is named.
    """

    name: str
    limit_s: float
    work: Callable[[World], None]
    asked_for: bool = False


def studies(asked: Asked, settings: Sequence[str]) -> list[Study]:
    """All of them; of settings, one each."""
    forms = [Study(f"form-{form}", 330.0, partial(curves.one_form, form)) for form in asked.forms]
    changed = [Study(f"setting-{each}", 260.0, partial(curves.one_setting, each), asked_for=True) for each in settings]
    return [
        Study("rate-beside-serve", 330.0, load.rate_beside_serve),
        Study("rate-beside-bare", 200.0, load.rate_beside_bare),
        Study("one-caller", 200.0, load.one_caller),
        Study("closed-loops", 200.0, load.closed_loops),
        Study("envoys-share", 120.0, load.envoys_share),
        Study("streams", 150.0, load.streams),
        Study("batches", 150.0, load.batches),
        Study("warm-starts", 150.0, operating.warm_starts),
        Study("profiles", 90.0, operating.profiles),
        Study("utterance-lengths", 200.0, curves.utterance_lengths),
        *forms,
        Study("blue-green", 300.0, blue_green),
        Study("label-counts", 500.0, curves.label_counts),
        Study("prefix-lengths", 550.0, curves.prefix_lengths),
        Study("steps", 150.0, operating.steps),
        Study("rate-beside-scaled-serve", 250.0, load.rate_beside_scaled_serve),
        Study("two-gpus", 400.0, operating.two_gpus, asked_for=True),
        *changed,
    ]


def carry_out(
    listed: Sequence[Study], asked: Asked, output: Path, facts: Mapping[str, Any], stop_after_s: float
) -> list[str]:
    """Does them, but those whose file says that they are done, and writes each one's file as it goes.

    A study that fails says so in its file and on standard error, and all that runs is ended: the next begins anew.

    Args:
        output: Folder of the files.
        facts: That stand in each file.
        stop_after_s: No study begins later than this after the start.

    Returns:
        The names of those that failed, or were left.
    """
    hidden = {output: "OUTPUT", asked.work: "WORK", Path(sys.executable).parent: "BIN"}
    left, began = [], time.monotonic()
    world = World(asked, Record(output / "none.json", "", hidden, facts))
    try:
        for study in listed:
            file = output / f"{study.name}.json"
            if is_done(file):
                continue
            if time.monotonic() - began > stop_after_s:
                left.append(study.name)
                continue
            world.record = Record(file, study.name, hidden, facts)
            if not _carried_out(study, world):
                left.append(study.name)
    finally:
        world.end()
    return left


def is_done(file: Path) -> bool:
    """Whether that file is the record of a study that is done."""
    return file.exists() and '"done": true' in file.read_text(encoding="utf-8")


def _carried_out(study: Study, world: World) -> bool:
    began = time.monotonic()
    try:
        with limited(study.limit_s * world.asked.patience):
            study.work(world)
    except Exception as error:
        world.record.end(f"{type(error).__name__}: {error}"[-3000:])
        _tell(study, began, f"FAILED: {type(error).__name__}: {str(error)[-600:]}")
        world.end()
        return False
    world.record.end()
    _tell(study, began, f"{brief(world.record.runs)} {' '.join(of_notes(world.record.notes))}")
    return True


@contextmanager
def limited(seconds: float) -> Any:
    """Raises TimeoutError in the block once it has lasted so long. In the main thread only."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _tell(study: Study, began: float, text: str) -> None:
    line = f"{time.strftime('%H:%M:%S')} {study.name} ({time.monotonic() - began:.0f} s): {text}"
    sys.stderr.write(" ".join(line.split()) + "\n")
    sys.stderr.flush()
