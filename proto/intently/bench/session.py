"""One run from the shell: processes, progress, signals, summary, exit code."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from intently.bench.collector import Collector
from intently.bench.fleet import Fleet
from intently.bench.plan import Plan
from intently.bench.progress import Progress, progress_of
from intently.bench.report import Ending, as_fields
from intently.bench.result import Result, add_up
from intently.bench.summary import print_summary
from intently.bench.verdict import judge


class Session:
    """Runs a plan for the shell.

    Args:
        options: Those of `command`: what comes of the run.
    """

    def __init__(self, plan: Plan, options: argparse.Namespace) -> None:
        self._plan = plan
        self._options = options
        self._stop, self._kill = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """Runs it, prints the summary, writes the JSON, and returns the exit code."""
        started = datetime.now(UTC)
        progress: Progress = progress_of(self._options.progress)
        collector = Collector(self._plan.processes, progress.show)
        fleet = Fleet(self._plan, collector.take)
        with self._signals(), progress:
            await fleet.run(self._stop, self._kill)
        result = add_up(fleet.records, collector)
        ending = self._ending(result)
        print_summary(self._plan, result, ending, to_stderr=self._options.json == "-")
        if self._options.json is not None:
            self._write(json.dumps(as_fields(self._plan, result, ending, started), indent=1) + "\n")
        return ending.exit_code

    def _write(self, text: str) -> None:
        if self._options.json == "-":
            sys.stdout.write(text)
        else:
            Path(self._options.json).write_text(text, encoding="utf-8")

    def _ending(self, result: Result) -> Ending:
        """What the figures mean for the exit code."""
        verdict = judge(result)
        return Ending(
            verdict=verdict,
            failures=tuple(self._failures(result)),
            interrupted=self._stop.is_set(),
            limited_is_failure=verdict.limited_by_generator and not self._options.allow_limited,
        )

    def _failures(self, result: Result) -> Iterator[str]:
        yield from result.faults
        total, p99 = result.total, result.total.latency.percentile(99)
        if not total.answered and not result.faults:
            yield "nothing was answered"
        if self._options.max_p99 is not None and p99 > self._options.max_p99:
            yield f"p99 is {p99 * 1e3:.1f} ms, over {self._options.max_p99 * 1e3:g} ms"
        if self._options.max_errors is not None and total.errors > self._options.max_errors:
            yield f"{total.errors} utterances failed, over {self._options.max_errors}"
        if result.lost or result.answered_twice:
            yield f"{result.lost} items were lost, {result.answered_twice} answered twice"

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
