"""The folder of a training run: which recipe and data it belongs to, its checkpoints, and the model it ended with."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.recipe import AdaptRecipe, DistillRecipe, ScratchRecipe
from intently_build.steps.journal import LOGS
from intently_build.steps.lock import alone_in

RUN = "run.json"  # what makes a folder that of a run
TRAINING = "training.json"  # beside a trained model or adapter: what came out, and which versions made it


@dataclass(frozen=True)
class RunIdentity:
    """What a run belongs to. Two runs with the same identity would train the same model.

    That of a run which trains nothing is empty: what its steps are made from is in their own records.
    """

    training_fingerprint: str = ""
    files: dict[str, str] = field(default_factory=dict)  # training and validation files, and a base, to their SHA-256
    labels: str = ""  # SHA-256 of the label file


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @property
    def model(self) -> Path:
        """The chosen causal model, with its tokenizer. There once the run is complete."""
        return self.path / "model"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, made before the first step."""
        return self.path / "tokenizer"

    @property
    def checkpoints(self) -> Path:
        """transformers' checkpoints."""
        return self.path / "checkpoints"

    @property
    def teaching(self) -> Path:
        """What teachers were asked, and what they said, where the recipe distils."""
        return self.path / "teaching"

    @property
    def adapter(self) -> Path:
        """The chosen adapter. There once an adaptation is complete."""
        return self.path / "adapter"

    @property
    def base(self) -> Path:
        """The base with the tokens that it lacked, where it lacked some."""
        return self.path / "base"

    @property
    def merged(self) -> Path:
        """Base and adapter in one."""
        return self.path / "merged"

    @property
    def head(self) -> Path:
        """The classifier, in bfloat16."""
        return self.path / "head"

    @property
    def quantized(self) -> Path:
        """The classifier as it is stored in the end, where the recipe quantizes."""
        return self.path / "quantized"

    def claim(self, identity: RunIdentity, restart: bool) -> None:
        """Makes the folder, or takes up an earlier run of the same identity; with `restart` begins anew.

        Raises BuildError if another run lies there, or something else, or if a process is at work on what is to go.
        """
        if restart and (self.path / RUN).exists():
            logs = self.path / LOGS
            logs.mkdir(exist_ok=True)
            with alone_in(logs):
                _empty(self.path)
        if (self.path / RUN).exists():
            self.check(identity)
            return
        if self.path.exists() and any(not path.name.startswith(f".{RUN}.") for path in self.path.iterdir()):
            raise BuildError(f"{self.path}: not empty and not a run of ours; choose another --output")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / RUN, asdict(identity))

    def check(self, identity: RunIdentity) -> None:
        """Raises BuildError unless the run that lies here has this identity."""
        try:
            found = json.loads((self.path / RUN).read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise BuildError(f"{self.path}: no training run there: {error}; train it first") from error
        for key, value in asdict(identity).items():
            if found.get(key, value) != value:
                raise BuildError(
                    f"{self.path}: made from another {key.replace('_', ' ')} than the recipe now gives; "
                    "train with --restart, or choose another folder"
                )

    def is_another(self, identity: RunIdentity) -> bool:
        """Whether a run lies here that has not this identity."""
        if not (self.path / RUN).exists():
            return False
        try:
            self.check(identity)
        except BuildError:
            return True
        return False

    def claim_checkpoints(self, key: str) -> None:
        """Throws checkpoints away unless they were trained on what `key` stands for; from now on they are."""
        mark = self.checkpoints / "of"
        if self.checkpoints.exists() and not (mark.is_file() and mark.read_text() == key):
            shutil.rmtree(self.checkpoints)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        mark.write_text(key)

    def last_checkpoint(self) -> Path | None:
        """Returns the newest checkpoint that was written to its end, after removing any that was not."""
        complete: list[tuple[int, Path]] = []
        for path in self.checkpoints.glob("checkpoint-*"):
            if _is_complete(path):
                complete.append((int(path.name.rpartition("-")[2]), path))
            else:
                shutil.rmtree(path)
        return max(complete)[1] if complete else None


def run_identity(
    recipe: ScratchRecipe | AdaptRecipe | DistillRecipe, files: tuple[tuple[str, str], ...], labels: str
) -> RunIdentity:
    """Returns the identity of a run of `recipe` on files with these SHA-256 and a label file with that one."""
    return RunIdentity(recipe.training_fingerprint(), dict(files), labels)


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file so that no reader sees half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _empty(folder: Path) -> None:
    """Removes all that a run left, and last what says that it is one: stopped on the way, it can be done again."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != RUN:
            path.unlink()
    (folder / RUN).unlink()


def _is_complete(checkpoint: Path) -> bool:
    try:  # the Trainer writes this file last
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, json.JSONDecodeError):
        return False
    return True
