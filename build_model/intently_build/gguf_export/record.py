"""`export.json` beside a GGUF file: what it was made from, by which tools, and what was proved."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intently_build.gguf_export.gguf_type import GgufType
from intently_build.quantizing.checkpoint import Checkpoint
from intently_build.quantizing.outcome import source_sha256
from intently_build.rows import file_sha256

RECORD = "export.json"


def made_from(source: Checkpoint, stored: GgufType, asked: object, texts: Sequence[str]) -> dict[str, str]:
    """Returns what an export depends on: the same gives the same bytes.

    Args:
      source: the checkpoint.
      stored: the type.
      asked: prompt, labels and code tokens, as plain JSON.
      texts: the rows that it is proved on.
    """
    return {
        "gguf_type": stored.name,
        "source_sha256": source_sha256(source),
        "asked_sha256": _digest(asked),
        "rows_sha256": _digest(list(texts)),
    }


def lies_there(folder: Path, weights: str, identity: Mapping[str, str]) -> bool:
    """Whether the export of this identity lies in `folder`, its weights as they were written."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return bool(found["made_from"] == identity and found["sha256"] == file_sha256(folder / weights))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_record(
    folder: Path,
    weights: str,
    identity: Mapping[str, str],
    tools: Mapping[str, str],
    error: float,
    proof: Mapping[str, Any] | None,
) -> None:
    """Writes it beside the weights, whose bytes and digest it states.

    Args:
      folder: of the export.
      weights: name of the GGUF file in it.
      identity: what it was made from.
      tools: their versions.
      error: the largest of a matrix.
      proof: what was proved, if anything.
    """
    facts = {"bytes": (folder / weights).stat().st_size, "sha256": file_sha256(folder / weights)}
    content = {"made_from": identity, "tools": tools, **facts, "largest_error": error, "proof": proof}
    write_json(folder / RECORD, content)


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file for people, in the order in which things are told."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
