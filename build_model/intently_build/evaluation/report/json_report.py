"""An evaluation as JSON, for programs: every figure, under the names of `figures.py`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from intently_build.evaluation.figures import BundleResult, Results
from intently_build.evaluation.gate import Gate

FORMAT = 1


def results_json(results: Results, gate: Gate, failures: Sequence[str]) -> str:
    """Returns the document; shares are 0 to 1, what was lost is in points (hundredths)."""
    content = {
        "format": FORMAT,
        **asdict(results),
        "absent_intents": results.absent_intents,
        "bundles": [_bundle(bundle) for bundle in results.bundles],
        "gate": {**asdict(gate), "failures": list(failures)} if results.reference else None,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes a file so that no reader sees half of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _bundle(bundle: BundleResult) -> dict[str, Any]:
    fields = asdict(bundle)
    if bundle.performance:
        fields["performance"]["calls_per_second"] = bundle.performance.calls_per_second
        for level, found in zip(fields["performance"]["levels"], bundle.performance.levels, strict=True):
            level["calls_per_second"] = found.calls_per_second
    return fields
