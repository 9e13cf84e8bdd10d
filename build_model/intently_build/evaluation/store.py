"""Answers kept on disk, so that an evaluation of many bundles goes on with the next one when it is run again.

A folder for each bundle and way of asking: `answers.jsonl` has a line for each row, in scope first, and no utterance;
`measured.json` says what was asked of what, and how fast the answers came.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intently_build.errors import BuildError
from intently_build.evaluation.answering import Measured
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import Level, Performance


@dataclass(frozen=True)
class Question:
    """What was asked of what: the same question has the same answers.

    Attributes:
      bundle: name of the bundle's folder, for people.
      revision: the bundle's.
      engine: what answered, in words.
      in_flight: calls under way at a time.
      data_sha256: of the rows' files.
    """

    bundle: str
    revision: str
    engine: str
    in_flight: int
    data_sha256: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The name of its folder."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"{self.bundle}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class AnswerStore:
    """Keeps answers.

    Args:
      folder: where; made when the first answers come.
      intents: the names of the intents, in the order of the head's rows.
    """

    def __init__(self, folder: Path, intents: Sequence[str]) -> None:
        self._folder = folder
        self._intents = tuple(intents)

    def load(self, question: Question) -> Measured | None:
        """Returns what was kept, or None. Raises BuildError if it cannot be read."""
        kept = self._folder / question.folder
        if not kept.exists():
            return None
        try:
            facts = json.loads((kept / "measured.json").read_text(encoding="utf-8"))
            lines = (kept / "answers.jsonl").read_text(encoding="utf-8").splitlines()
            if facts["rows"] != len(lines):
                raise ValueError(f"{len(lines)} of {facts['rows']} rows")
            return Measured(self._answers([json.loads(line) for line in lines]), _performance(facts["performance"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{kept}: cannot read the answers kept there: {error}; delete the folder") from error

    def save(self, question: Question, measured: Measured) -> None:
        """Keeps the answers; no reader sees half of them. Raises BuildError if they cannot be written."""
        kept = self._folder / question.folder
        partial = self._folder / f".{kept.name}.partial"
        performance = measured.performance and asdict(measured.performance)
        facts = {"asked": asdict(question), "rows": len(measured.answers), "performance": performance}
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            (partial / "answers.jsonl").write_text("".join(self._lines(measured.answers)), encoding="utf-8")
            (partial / "measured.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            partial.rename(kept)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise BuildError(f"{kept}: cannot keep the answers: {error}") from error

    def _lines(self, answers: Answers) -> list[str]:
        columns = (answers.intents.tolist(), answers.confidences.tolist(), answers.out_of_scope.tolist())
        return [
            json.dumps(
                {
                    "row": row,
                    "prediction": self._intents[intent],
                    "confidence": confidence,
                    "out_of_scope_confidence": outside,
                },
                ensure_ascii=False,
            )
            + "\n"
            for row, (intent, confidence, outside) in enumerate(zip(*columns, strict=True))
        ]

    def _answers(self, records: Sequence[dict[str, float | str]]) -> Answers:
        rows = {name: row for row, name in enumerate(self._intents)}
        return Answers(
            intents=np.array([rows[str(record["prediction"])] for record in records], dtype=np.int64),
            confidences=np.array([record["confidence"] for record in records], dtype=np.float64),
            out_of_scope=np.array([record["out_of_scope_confidence"] for record in records], dtype=np.float64),
        )


def _performance(facts: dict[str, Any] | None) -> Performance | None:
    if facts is None:
        return None
    levels = tuple(Level(**each) for each in facts.get("levels", ()))
    return Performance(**facts | {"levels": levels, "kernels": tuple(facts.get("kernels", ()))})
