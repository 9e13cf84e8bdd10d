"""The rows that a tool looks at while it quantizes: chosen by a seed, disjoint from the test rows."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.errors import BuildError
from intently_build.overlap import fold
from intently_build.rows import file_sha256, json_lines


def read_texts(path: Path) -> list[str]:
    """Returns the utterances of a JSON Lines file. Raises BuildError naming file and line."""
    try:
        lines = json_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the rows: {error}") from error
    texts = [_text(line, f"{path}: line {number}") for number, line in enumerate(lines, start=1)]
    if not texts:
        raise BuildError(f"{path}: no rows")
    return texts


def without_test_rows(texts: Sequence[str], source: Path, tests: Iterable[Path], leave_out: bool) -> list[str]:
    """Returns `texts` without those that stand among the test rows too, capitals and spaces aside.

    Raises BuildError if there are such and `leave_out` is false: a figure measured on rows that the weights were fitted
    to says too much.
    """
    tested = {fold(text) for path in tests for text in read_texts(path)}
    kept = [text for text in texts if fold(text) not in tested]
    shared = len(texts) - len(kept)
    if shared and not leave_out:
        raise BuildError(
            f"{source}: {shared} of {len(texts)} calibration rows are test rows too; "
            "give other rows, or --leave-out-test to go on without these"
        )
    return kept


def check_not_measured_on(manifest: bundle_pb2.BundleManifest, rows: Path) -> None:
    """Raises BuildError if a bundle's evaluation was measured on this very file, wherever it lies now."""
    try:
        digest = file_sha256(rows)
    except OSError as error:
        raise BuildError(f"{rows}: cannot read the rows: {error}") from error
    for evaluation in manifest.evaluations:
        if digest in evaluation.data_sha256:
            raise BuildError(
                f"{rows}: the bundle's evaluation on {evaluation.dataset} {evaluation.split} was measured on these "
                "very rows; give others"
            )


def choose(texts: Sequence[str], samples: int, seed: int, source: Path) -> list[str]:
    """Returns `samples` different texts, the same ones for the same seed. Raises BuildError if there are fewer."""
    different = list(dict.fromkeys(texts))
    if len(different) < samples:
        raise BuildError(f"{source}: {len(different)} different calibration rows, --samples {samples} asked for")
    return random.Random(seed).sample(different, samples)


def _text(line: str, where: str) -> str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BuildError(f"{where}: not JSON: {error}") from error
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise BuildError(f"{where}: 'text' must be a text that is not empty")
    return text
