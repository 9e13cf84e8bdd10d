"""What a tool is told, and the file that carries it into the tool's own process."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One run of one tool.

    Attributes:
      form: name of the format.
      checkpoint: folder of the checkpoint.
      output: folder that the tool writes; not there yet.
      scratch: folder for what the tool needs on the way.
      group_size: weights that share a scale; 0 where a whole row does.
      seed: of every random generator.
      prompts: token ids of each calibration prompt; none where the format is not calibrated.
    """

    form: str
    checkpoint: Path
    output: Path
    scratch: Path
    group_size: int
    seed: int
    prompts: tuple[tuple[int, ...], ...]

    def write(self, path: Path) -> None:
        """Writes it for `read_job`."""
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")


def read_job(path: Path) -> Job:
    """Returns the job that `Job.write` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Job(
        form=content["form"],
        checkpoint=Path(content["checkpoint"]),
        output=Path(content["output"]),
        scratch=Path(content["scratch"]),
        group_size=content["group_size"],
        seed=content["seed"],
        prompts=tuple(tuple(prompt) for prompt in content["prompts"]),
    )
