"""The progress of a training run on the terminal: a bar with the time left, and a line for each epoch."""

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from intently_build.bar import progress_bar
from intently_build.steps.journal import Journal

if TYPE_CHECKING:
    from rich.progress import TaskID


class TrainingProgress(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Follows transformers' Trainer."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._progress = progress_bar(journal.console)
        self._task: TaskID | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Starts the bar where the run stands."""
        self._task = self._progress.add_task("training", total=state.max_steps, completed=state.global_step)
        self._journal.show(self._progress)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Moves the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=state.global_step)

    def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: dict[str, float], **_kwargs: Any) -> None:
        """Says how the epoch went."""
        accuracy = f"accuracy {metrics['eval_accuracy']:.4f}  " if "eval_accuracy" in metrics else ""
        self._journal.say(
            f"epoch {state.epoch or 0:.0f}  step {state.global_step}  "
            f"validation: {accuracy}loss {metrics['eval_loss']:.4f}"
        )

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_kwargs: Any) -> None:
        """Takes the bar away."""
        self._progress.stop()
