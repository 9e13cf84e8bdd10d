"""The servers that are measured: each the real command, in a process of its own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from intently_build.evaluation.server_process import RunningServer, run_server
from intently_build.steps.journal import Journal
from intently_build.tuning.profile import ADMISSION_SETTINGS, ENGINE_SETTINGS

_HIDDEN = tuple(f"INTENTLY_{name.upper()}" for name in ("profile", *ENGINE_SETTINGS, *ADMISSION_SETTINGS))


class Servers:
    """Starts them. Variables that would set what is tuned are kept from them.

    Args:
      command: that starts one.
      bundle: what it serves.
      start_s: seconds that it may take to start.
      journal: is told of those variables.
    """

    def __init__(self, command: Sequence[str], bundle: Path, start_s: float, journal: Journal) -> None:
        self._command = tuple(command)
        self._bundle = bundle
        self._start_s = start_s
        there = [name for name in _HIDDEN if name in os.environ]
        if there:
            journal.say(f"{', '.join(there)}: left out of account; --set gives a setting that is not searched")

    @contextmanager
    def serving(self, flags: Sequence[str]) -> Iterator[RunningServer]:
        """Yields a server that is SERVING, until the block ends. Raises BuildError."""
        with run_server(self._command, self._bundle, flags, self._start_s, without=_HIDDEN) as server:
            yield server
