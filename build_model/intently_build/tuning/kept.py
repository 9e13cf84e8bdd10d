"""Trials kept on disk as they come, so that a run that was stopped goes on with the next candidate.

A file for each candidate and question: on another machine, of another bundle or with other settings it is another file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError
from intently_build.evaluation.report.json_report import write_text
from intently_build.tuning.candidate import Candidate, Trial, read_trial


class Kept:
    """The trials of one question.

    Args:
      folder: where; made with the first trial.
      question: all that a trial depends on beside its candidate, as plain JSON.
    """

    def __init__(self, folder: Path, question: Mapping[str, Any]) -> None:
        self._folder = folder
        self._question = dict(question)

    def load(self, candidate: Candidate, to_beat: float | None) -> Trial | None:
        """Returns what was kept of it, or None. Raises BuildError if it cannot be read."""
        path = self._path(candidate, to_beat)
        try:
            return read_trial(json.loads(path.read_text(encoding="utf-8"))["trial"]) if path.exists() else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{path}: cannot read what was kept there: {error}; delete the file") from error

    def save(self, trial: Trial) -> None:
        """Keeps it. Raises BuildError."""
        path = self._path(trial.candidate, trial.to_beat)
        fields = {"question": self._question, "trial": asdict(trial)}
        try:
            write_text(path, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise BuildError(f"{path}: cannot keep what was measured: {error.strerror}") from error

    def _path(self, candidate: Candidate, to_beat: float | None) -> Path:
        asked = {**self._question, "candidate": asdict(candidate), "to_beat": to_beat and round(to_beat, 3)}
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:16]}.json"
