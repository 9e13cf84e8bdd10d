"""One run from the shell: measuring, progress, signals, reports, exit code."""

import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from intently.bench.ending import Ending, ending_of
from intently.bench.progress import Progress, progress_of
from intently.bench.report import as_fields
from intently.bench.studies.measuring import measure
from intently.bench.studies.order import Order
from intently.bench.studies.study import Study
from intently.bench.summary import print_summary


class Session:
    """Runs an order for the shell.

    Args:
        json_file: Where the report goes; "-" for stdout, None for nowhere.
        html_file: Where the page goes; None for nowhere.
        progress: What is seen meanwhile; see `progress_of`.
    """

    def __init__(self, order: Order, json_file: str | None, html_file: Path | None, progress: str) -> None:
        self._order = order
        self._json = json_file
        self._html = html_file
        self._progress = progress
        self._stop, self._kill = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """Runs it, prints the summary, writes the reports, and returns the exit code."""
        started = datetime.now(UTC)
        progress: Progress = progress_of(self._progress)
        with self._signals(), progress:
            study = await measure(self._order, progress, self._stop, self._kill)
        ending = ending_of(study, self._order)
        print_summary(study, ending, to_stderr=self._json == "-")
        self._write(study, ending, started)
        return ending.exit_code

    def _write(self, study: Study, ending: Ending, started: datetime) -> None:
        text = json.dumps(as_fields(self._order, study, ending, started), indent=1) + "\n"
        if self._json == "-":
            sys.stdout.write(text)
        elif self._json is not None:
            Path(self._json).write_text(text, encoding="utf-8")
        if self._html is not None:
            from intently.bench.page.page import page_of

            self._html.write_text(page_of(self._order.plans[0], study, ending, started), encoding="utf-8")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM stops the run in order, the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self._interrupt)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        if self._stop.is_set():
            self._kill.set()
        self._stop.set()
