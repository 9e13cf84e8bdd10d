"""What the exporter's own process is told, and the file that carries it there."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Task = Literal["write", "answer"]


@dataclass(frozen=True)
class ExportJob:
    """One task: write the GGUF file, or let llama.cpp answer prompts by it.

    Attributes:
      task: which.
      checkpoint: folder of the checkpoint.
      output: the GGUF file.
      scratch: folder for what is needed on the way.
      gguf_type: name of the type.
      name: of the model.
      code_ids: the token of each label.
      prompts: whole prompts, as text.
      context: how many tokens a prompt may have.
    """

    task: Task
    checkpoint: Path
    output: Path
    scratch: Path
    gguf_type: str
    name: str
    code_ids: tuple[int, ...]
    prompts: tuple[str, ...]
    context: int

    @property
    def form(self) -> str:
        """What it is called on the terminal."""
        return f"gguf {self.gguf_type}"

    def write(self, path: Path) -> None:
        """Writes it for `read_export_job`."""
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")


def read_export_job(path: Path) -> ExportJob:
    """Returns the job that `ExportJob.write` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= {key: Path(content[key]) for key in ("checkpoint", "output", "scratch")}
    content |= {key: tuple(content[key]) for key in ("code_ids", "prompts")}
    return ExportJob(**content)
