"""Replays a file of utterances to both colors, with a bar on standard error where that is a terminal."""

import argparse
import contextlib
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.compare.lines import lines_of
from intently_release.compare.replay import Replay
from intently_release.compare.report import Report, report_of
from intently_release.compare.tally import Tally
from intently_release.compare.utterances import Utterance, Utterances
from intently_release.errors import Refused
from intently_release.release.calling import operators_channel

STANDARD = "-"
"""Standard input, or standard output."""


async def replayed(desk: Desk, options: argparse.Namespace, stable: Color) -> Report:
    """Sends every utterance to both colors; returns what came of it.

    Raises:
        Refused: if the utterances cannot be read.
    """
    tally, utterances = Tally(stable, options.confident, options.show_utterances), Utterances()
    with _opened(options.utterances) as file, _Bar(file, tally) as bar:
        async with operators_channel(desk.config, desk.layout) as channel:
            replay = Replay(channel, options.concurrency, options.deadline)
            async with contextlib.aclosing(replay.run(_requests(file, utterances, bar))) as exchanges:
                async for exchange in exchanges:
                    tally.add(exchange)
    return report_of(tally, utterances, with_utterances=options.show_utterances > 0)


async def _requests(file: BinaryIO, utterances: Utterances, bar: "_Bar") -> AsyncIterator[Utterance]:
    number = 0
    try:
        async with contextlib.aclosing(lines_of(file)) as lines:
            async for line in lines:
                number += 1
                if (utterance := utterances.read(number, line)) is not None:
                    yield utterance
                bar.advance(len(line))
    except OSError as error:
        raise Refused(f"cannot read the utterances after line {number}: {error.strerror}") from error


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  # closed below; what the block raises is not about opening
    except OSError as error:
        raise Refused(f"cannot read {name}: {error.strerror}") from error
    with file:
        yield file


class _Bar:
    """How far it has come in the file, and what was found so far; nothing where there is no terminal.

    Args:
        file: Its size is the whole, where it has one.
        tally: What was found so far.
    """

    def __init__(self, file: BinaryIO, tally: Tally) -> None:
        self._tally = tally
        console = Console(stderr=True)
        found = TextColumn("{task.fields[compared]} compared, {task.fields[differ]} differ")
        columns = (BarColumn(), TaskProgressColumn(), found, TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=_size(file), compared=0, differ=0)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, size: int) -> None:
        """So many bytes more were read."""
        tally = self._tally
        self._progress.update(self._task, advance=size, compared=tally.compared, differ=tally.differ)


def _size(file: BinaryIO) -> int | None:
    """Bytes of a file; None of a pipe."""
    about = os.fstat(file.fileno())
    return about.st_size if stat.S_ISREG(about.st_mode) else None
