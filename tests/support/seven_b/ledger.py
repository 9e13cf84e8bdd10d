"""What has been measured so far: written after every step, so that a run that is cut short loses one step at most."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.seven_b.gpu_memory import give_back, gpu_memory_watched

LEDGER = "ledger.json"


class Ledger:
    """The results of one work folder, by step.

    Args:
        folder: Keeps them beside what the steps made.
        output: Another file that they are written to; None for none.
        stop_after_s: No step begins later than this after the start.
    """

    def __init__(self, folder: Path, output: Path | None, stop_after_s: float) -> None:
        self._file = folder / LEDGER
        self._output = output
        self._until = time.monotonic() + stop_after_s
        self.results: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.left: list[str] = []

    def step(self, name: str, work: Callable[[], dict[str, Any]], made: Path | None = None) -> bool:
        """Does the step, unless it was done before and what it made is there. Returns whether it is done.

        What goes wrong is noted; an interrupt is raised too.
        """
        before = self.results.get(name, {})
        if before.get("done") and (made is None or made.exists()):
            tell(f"{name}: done before")
            return True
        if self.left or time.monotonic() > self._until:
            self.left.append(name)
            tell(f"{name}: left for the next run")
            return False
        tell(f"{name}: begins")
        started = time.monotonic()
        try:
            with gpu_memory_watched() as memory:
                found = work()
        except BaseException as error:
            self._note(name, {"done": False, "error": f"{type(error).__name__}: {error}"[:4000]})
            if isinstance(error, Exception):
                return False
            raise
        finally:
            give_back()
        seconds = round(time.monotonic() - started, 2)
        self._note(name, {"done": True, "seconds": seconds, "gpu_peak_mib": memory.peak_mib} | found)
        return True

    def _note(self, name: str, result: dict[str, Any]) -> None:
        self.results[name] = result
        text = json.dumps(self.results, indent=1) + "\n"
        for path in filter(None, (self._file, self._output)):
            beside = path.with_name(f".{path.name}.partial")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        tell(f"{name}: {json.dumps(result)[:1500]}")


def tell(text: str) -> None:
    """Says a line to whoever watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
