"""What a run says: on the terminal, and with the time in a log file that stays."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from intently_build.steps.lock import alone_in

LOGS = "logs"  # folder in that of a run


class _LogFile(logging.FileHandler):
    """A log file that is let be when it cannot be written: what stops the run, such as a full disk, is said once."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Says nothing."""

    def close(self) -> None:
        """Closes it, whether or not its last line can be written."""
        with suppress(OSError):
            super().close()


class Journal:
    """Tells who runs the build what happens. Progress bars go to `console` alone."""

    def __init__(self, console: Console, log: logging.Logger | None = None) -> None:
        self.console = console
        self._log = log
        self._bars: list[Progress] = []

    def show(self, bar: Progress) -> None:
        """Starts a bar, which is stopped by `close` if nobody stopped it before."""
        self._bars.append(bar)
        bar.start()

    def close(self) -> None:
        """Gives the terminal back: a bar that an error left there would hide the cursor for good."""
        for bar in self._bars:
            if bar.live.is_started:
                bar.stop()
        self._bars.clear()

    def say(self, text: str) -> None:
        """Prints a line, and logs it."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self.note(text)

    def note(self, text: str) -> None:
        """Logs a line without printing it."""
        if self._log:
            self._log.info(text)

    def failed(self, error: BaseException) -> None:
        """Logs an error with where it came from."""
        self.note("".join(traceback.format_exception(error)).rstrip())


@contextmanager
def keep_journal(folder: Path, console: Console) -> Iterator[Journal]:
    """Logs into a new file in the folder `logs` of `folder`, warnings of the libraries too, until the block ends.

    Raises BuildError if another process does so now.
    """
    logs = folder / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    with alone_in(logs), _logging_into(logs, console) as journal:
        yield journal


@contextmanager
def _logging_into(logs: Path, console: Console) -> Iterator[Journal]:
    started = datetime.now(UTC)
    handler = _LogFile(logs / f"{started:%Y%m%d-%H%M%S-%f}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    log = logging.Logger("intently_build")  # noqa: LOG001  # of this run alone: nothing else writes to it
    log.addHandler(handler)
    libraries = [logging.getLogger(name) for name in ("py.warnings", "transformers", "peft")]
    for library in libraries:
        library.addHandler(handler)
    logging.captureWarnings(True)
    journal = Journal(console, log)
    try:
        yield journal
    finally:
        journal.close()
        logging.captureWarnings(False)
        for library in libraries:
            library.removeHandler(handler)
        handler.close()
